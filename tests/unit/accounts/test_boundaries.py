"""`accounts` is the lowest app: it names no table, URL or permission of the apps above it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.unit
ROOT = Path(settings.BASE_DIR)
FOREIGN = re.compile(r"(?<![a-z/])(?:chat|workers)(?:_[a-z]+|:[a-z_]+|\.[a-z_]+)")
SOURCES = sorted(path for path in (ROOT / "accounts").rglob("*.py") if "migrations" not in path.parts)
TEMPLATES = sorted((ROOT / "templates" / "account").rglob("*.html"))
OF_CHAT = {"usage.html"}  # a page of chat.views.usage


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """The string constants of a module, those in f-strings too, without docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_accounts_names_nothing_of_the_apps_above_it(path: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {match.group()}"
        for node in strings(ast.parse(path.read_text()))
        if (match := FOREIGN.search(str(node.value)))
    ]
    assert not found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_pages_of_accounts_reverse_no_url_of_chat(path: Path) -> None:
    if path.name not in OF_CHAT:
        assert not FOREIGN.search(path.read_text())


@pytest.mark.parametrize(
    "text", ["SELECT id FROM chat_run", "chat:usage", "chat.view_run", "admin:chat_run_changelist"]
)
def test_the_pattern_finds_foreign_names(text: str) -> None:
    assert FOREIGN.search(text)
