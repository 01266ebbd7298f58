"""When the migrated databases of the tests are made anew."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import templates

OURS = ("accounts", "chat", "config", "workers")


def test_what_decides_is_there() -> None:
    assert [name for name in templates.DECIDE if not (templates.ROOT / name).exists()] == []
    assert {f"{app}/migrations" for app in OURS if (templates.ROOT / app / "migrations").exists()} < {*templates.DECIDE}


def test_what_migrations_import_decides() -> None:
    migrations = [file for app in OURS for file in (templates.ROOT / app / "migrations").glob("*.py")]
    assert len(migrations) > 100
    imported = {name for file in migrations for name in imports(file) if name.split(".")[0] in OURS}
    assert "accounts/lib/ids" in {name.replace(".", "/") for name in imported}
    undecided = [name for name in imported if not name.replace(".", "/").startswith(templates.DECIDE)]
    assert undecided == [], "tests.templates.DECIDE lacks them"


def imports(file: Path) -> list[str]:
    """The modules that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return names + [
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]


def test_they_are_made_anew_for_another_migration_and_not_for_another_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chat/migrations", "chat/views"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("django\n")
    monkeypatch.setattr(templates, "ROOT", tmp_path)
    monkeypatch.setattr(templates, "DECIDE", ("chat/migrations",))
    first = templates._key()
    (tmp_path / "chat/views/pages.py").write_text("a view")
    assert templates._key() == first
    (tmp_path / "chat/migrations/0001_initial.py").write_text("a migration")
    second = templates._key()
    assert second != first
    (tmp_path / "requirements.txt").write_text("django==5.2\n")
    assert templates._key() != second
