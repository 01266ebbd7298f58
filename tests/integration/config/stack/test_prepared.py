"""When a start need not prepare the database again."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import psycopg
import pytest

from config.stack.prepared import FOLDERS, Prepared
from tests.servers import servers
from tests.stack import make_database


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A program of one file a folder."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.py").write_text("1")
    (tmp_path / "requirements.txt").write_text("django")
    (tmp_path / "var").mkdir()
    return tmp_path


@pytest.fixture
def url() -> str:
    """A prepared database with an administrator."""
    name = f"prepared_{uuid.uuid4().hex}"
    make_database(servers.postgres, name)
    address = servers.postgres.url(name)
    with psycopg.connect(address) as connection:
        connection.execute("UPDATE accounts_user SET is_superuser = true WHERE email = 'alice@example.org'")
    return address


def test_it_is_prepared_until_something_changes(root: Path, url: str) -> None:
    var = root / "var"
    assert Prepared(root, var, url).admin() is None, "nothing was noted yet"
    first = Prepared(root, var, url)
    (var / "static").mkdir()  # by `prepare`
    first.remember()
    assert Prepared(root, var, url).admin() == "alice@example.org"

    cached = root / "chat" / "__pycache__"
    cached.mkdir()
    (cached / "file.pyc").touch()
    assert Prepared(root, var, url).admin() == "alice@example.org"

    file = root / "chat" / "file.py"
    before = file.stat()
    file.write_text("2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert Prepared(root, var, url).admin() is None, "a file changed"
    Prepared(root, var, url).remember()

    (var / "static").rmdir()
    assert Prepared(root, var, url).admin() is None, "the static files are gone"
    Prepared(root, var, url).remember()

    with psycopg.connect(url) as connection:
        connection.execute("UPDATE accounts_user SET is_superuser = false")
    assert Prepared(root, var, url).admin() is None, "nobody administers it"
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE accounts_user SET is_superuser = true WHERE email = 'bob@example.org'")
    assert Prepared(root, var, url).admin() == "bob@example.org"
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations)")
    assert Prepared(root, var, url).admin() is None, "a migration is missing"


def test_another_database_or_a_broken_note_is_prepared(root: Path, url: str) -> None:
    var = root / "var"
    Prepared(root, var, url).remember()
    other = f"other_{uuid.uuid4().hex}"
    make_database(servers.postgres, other)
    assert Prepared(root, var, servers.postgres.url(other)).admin() is None
    assert Prepared(root, var, servers.postgres.url("nowhere")).admin() is None
    (var / "prepared.json").write_text("[")
    assert Prepared(root, var, url).admin() is None
