"""An empty database takes the squashed migrations. One that has some of those that they replace takes the others, and
has the same tables and the same rows in the end.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest

from config.stack.account import installed
from tests import templates
from tests.commands import Commands
from tests.servers import servers

OLDER: Final = [("accounts", "0008_audit_search"), ("chat", "0020_parameters_and_instructions"),
                ("workers", "0003_dialects_and_extras")]  # fmt: skip
SQUASHED: Final = {
    ("accounts", "0001_squashed_0012_usage_purpose"),
    ("chat", "0001_squashed_0023_moderation"),
    ("workers", "0001_squashed_0006_refused_parameters"),
}
MIGRATE_TO_OLDER: Final = f"""
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
executor = MigrationExecutor(connection)
executor.loader = MigrationLoader(connection, replace_migrations=False)
executor.migrate({OLDER!r})
"""
# What migrations and the start after them put into tables, without numbers that only the order gives.
ROWS: Final = (
    "SELECT to_jsonb(plan) - 'id' FROM accounts_plan plan ORDER BY 1",
    'SELECT unit, period, "limit" FROM accounts_quota ORDER BY 1, 2, 3',
    """SELECT app_label, codename, p.name FROM auth_permission p JOIN django_content_type t ON t.id = content_type_id
        ORDER BY 1, 2""",
    """SELECT g.name, codename FROM auth_group g JOIN auth_group_permissions j ON j.group_id = g.id
        JOIN auth_permission p ON p.id = permission_id ORDER BY 1, 2""",
)


@pytest.fixture
def older() -> Iterator[str]:
    """A database that stopped in the midst of what each squashed migration replaces; its name."""
    name = "migrated_to_older"
    templates.in_server(servers.postgres, f"CREATE DATABASE {name}")
    yield name
    templates.in_server(servers.postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.timeout(600)  # all of the replaced migrations
def test_an_older_database_goes_on_and_equals_a_new_one(older: str) -> None:
    commands = Commands({**os.environ, "DATABASE_URL": servers.postgres.url(older)}, seconds=250)
    try:
        for command in (("shell", "--no-imports", "-c", MIGRATE_TO_OLDER), ("migrate", "--verbosity=0")):
            done = commands.run(*command)
            assert done.code == 0, done.err
    finally:
        commands.stop()

    new = templates.MIGRATED  # by `manage.py prepare`, from nothing
    assert applied(new) >= SQUASHED
    assert applied(older) >= SQUASHED, "and neither runs them again"
    assert schema(older) == schema(new)
    for query in ROWS:
        assert rows(older, query) == rows(new, query)


def applied(database: str) -> set[tuple[str, ...]]:
    return set(rows(database, "SELECT app, name FROM django_migrations"))


def rows(database: str, query: str) -> list[tuple[str, ...]]:
    with psycopg.connect(servers.postgres.url(database)) as connection:
        return connection.execute(query.encode()).fetchall()


def schema(database: str) -> str:
    """The statements that make the database, with the columns of each table in the order of their names.

    Columns that one migration adds to a table which another made come last, so their order tells nothing else.
    """
    dumped = subprocess.run(
        [installed() / "pg_dump", "--schema-only", "--no-owner", "--restrict-key=same", servers.postgres.url(database)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return re.sub(r"(?<=\(\n)    .*?(?=\n\);)", lambda columns: _sorted_lines(columns[0]), dumped, flags=re.DOTALL)


def _sorted_lines(lines: str) -> str:
    return "\n".join(sorted(line.rstrip(",") for line in lines.splitlines()))
