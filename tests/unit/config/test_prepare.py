"""Migrations give way to the running site: one that gets no lock is tried again, any other failure is not."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import OperationalError

from config.management.commands import prepare


class Cursor:
    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, values: list[str]) -> None:
        assert "lock_timeout" in statement
        assert values == ["1s"]


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

    monkeypatch.setattr(prepare, "connection", Connection())


def failing(times: int, cause: Exception) -> tuple[Any, list[str]]:
    """A command that fails so often; and how often it was called."""
    calls: list[str] = []

    def run(name: str, **_: Any) -> None:
        calls.append(name)
        if len(calls) <= times:
            raise OperationalError("no") from cause

    return run, calls


def test_one_that_gets_no_lock_is_tried_again() -> None:
    run, calls = failing(3, psycopg.errors.LockNotAvailable())
    pauses: list[float] = []
    prepare.migrate(run, pauses.append)
    assert calls == ["migrate"] * 4
    assert pauses == [prepare.LOCK_PAUSE_SECONDS] * 3


def test_not_for_ever() -> None:
    run, calls = failing(1000, psycopg.errors.LockNotAvailable())
    with pytest.raises(OperationalError):
        prepare.migrate(run, lambda _: None)
    assert len(calls) == prepare.LOCK_TRIES


def test_another_failure_is_not_repeated() -> None:
    run, calls = failing(1, psycopg.errors.AdminShutdown())
    with pytest.raises(OperationalError):
        prepare.migrate(run, lambda _: None)
    assert len(calls) == 1
