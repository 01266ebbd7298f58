"""The files that the documentation names exist, and the walk of a message counts them correctly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = (".ci", "accounts", "chat", "config", "deploy", "docs", "templates", "tests", "workers")
NAMED = re.compile(r"`([\w./-]+\.(?:py|js|css|html|toml|sh))`")
NAMED_TESTS = re.compile(r"`((?:\w+/)*test_\w+)`")
EXISTING = [
    f"/{path.relative_to(ROOT).as_posix()}"
    for path in (*ROOT.glob("*"), *(inside for folder in FOLDERS for inside in (ROOT / folder).rglob("*")))
    if path.is_file()
]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_file_that_is_named_exists(document: Path) -> None:
    named = set(NAMED.findall(document.read_text()))
    assert sorted(name for name in named if not any(path.endswith(f"/{name}") for path in EXISTING)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_test_that_is_named_exists(document: Path) -> None:
    """In the short form, the end of a path: `auth/test_tickets`."""
    named = set(NAMED_TESTS.findall(document.read_text()))
    assert sorted(name for name in named if not any(path.endswith(f"/{name}.py") for path in EXISTING)) == []


def test_the_walk_of_a_message_counts_its_files() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    walk = text.partition("## The path of one message")[2].partition("Not counted are")[0]
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", walk, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    names = [name for _, cell in rows for name in NAMED.findall(cell)]
    [(files, on_the_server)] = re.findall(r"passes (\d+) files, (\d+) of them on the server", walk.replace("\n", " "))
    assert (len(names), sum(name.endswith(".py") for name in names)) == (int(files), int(on_the_server))
    assert len(set(names)) == len(names), "each is listed once"
