"""Prepared statements: planned once for each connection, and never in the way of a pooler."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import User
from chat.runs import claims, context, tools_version
from chat.runs.claims import claim
from tests.fixtures.run_rows import say

pytestmark = pytest.mark.django_db(transaction=True)

SQL = "SELECT %(text)s || '!', %(number)s + %(number)s"
TYPES = {"number": "int", "text": "text"}


@pytest.fixture(autouse=True)
def _enabled(db: None, monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    monkeypatch.setattr(PreparedStatement, "enabled", True)
    _begin_anew()
    yield
    _begin_anew()


def _begin_anew() -> None:
    """Connections that no other test has used."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has it


def ask(statement: PreparedStatement, text: str = "a'b%", number: int = 2) -> Any:
    with connection.cursor() as cursor:
        statement.execute(cursor, {"text": text, "number": number})
        return cursor.fetchone()


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements ORDER BY name")
        return [row[0] for row in cursor.fetchall()]


def deallocate() -> None:
    """As a pooler that goes on with another connection."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")


def test_it_is_prepared_once() -> None:
    statement = PreparedStatement(SQL, TYPES)
    assert [ask(statement, number=number) for number in (2, 3)] == [("a'b%!", 4), ("a'b%!", 6)]
    assert prepared() == [statement.name]
    assert PreparedStatement(SQL + " ", TYPES).name != statement.name


def test_a_connection_that_does_not_know_it_costs_nothing_but_the_plan() -> None:
    statement = PreparedStatement(SQL, TYPES)
    ask(statement)
    deallocate()
    assert [ask(statement) for _ in range(2)] == [("a'b%!", 4)] * 2
    assert not PreparedStatement.enabled
    assert prepared() == []


def test_a_connection_that_knows_it_already() -> None:
    ask(PreparedStatement(SQL, TYPES))
    another = PreparedStatement(SQL, TYPES)  # of another process, whose connection the pooler had given to this one
    assert ask(another) == ("a'b%!", 4)
    assert PreparedStatement.enabled


def test_a_transaction_is_never_broken_by_it() -> None:
    statement = PreparedStatement(SQL, TYPES)
    ask(statement)
    deallocate()
    with transaction.atomic():
        assert ask(statement) == ("a'b%!", 4)
    assert prepared() == []


def test_a_table_that_changed() -> None:
    statement = PreparedStatement("SELECT * FROM shape WHERE id = %(id)s", {"id": "int"})
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE shape AS SELECT 1 AS id")
        statement.execute(cursor, {"id": 1})
        cursor.execute("ALTER TABLE shape ADD COLUMN name text DEFAULT 'x'")
        statement.execute(cursor, {"id": 1})
        assert cursor.fetchall() == [(1, "x")]


def test_other_errors_are_the_caller_s() -> None:
    with pytest.raises(ProgrammingError, match="no_such_table"):
        ask(PreparedStatement("SELECT * FROM no_such_table WHERE 1 = %(number)s", {"number": "int"}))
    assert PreparedStatement.enabled


@pytest.mark.usefixtures("one_model")
def test_a_claim_is_planned_once_and_survives_a_pooler(alice: User) -> None:
    for number in range(3):
        accepted = say(alice, f"Question {number}")
        claimed = claim(accepted.run_id, "worker")
        assert claimed is not None
        assert claimed.path == [("user", f"Question {number}")]
        names = {one.name for one in (claims._CLAIM, context.CONTEXT_OF_CLAIMED, tools_version.VERSION_OF_CLAIMED)}
        assert (names <= set(prepared())) is (number < 2)
        if number == 1:
            deallocate()
