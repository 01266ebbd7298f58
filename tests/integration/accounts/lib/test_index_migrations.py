"""`BuildIndex`: an index that a migration builds while the site runs, however often it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import NotSupportedError, OperationalError, connection, models
from django.db.migrations.state import ProjectState

from accounts.lib.index_migrations import BuildIndex
from tests.servers import servers

INDEX = models.Index(fields=["email", "name"], name="built_by_a_test")


@pytest.fixture
def operation() -> Iterator[BuildIndex]:
    yield BuildIndex("user", INDEX)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS built_by_a_test")


def build(operation: BuildIndex) -> None:
    from django.apps import apps

    before = ProjectState.from_apps(apps)
    after = before.clone()
    operation.state_forwards("accounts", after)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("accounts", editor, before, after)


def index() -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid, pg_relation_filenode(indexrelid) FROM pg_index"
                       " WHERE indexrelid = to_regclass('built_by_a_test')")  # fmt: skip
        return cursor.fetchone()  # type: ignore[no-any-return]


@pytest.mark.django_db(transaction=True)
def test_an_interrupted_one_is_built_anew_and_a_valid_one_is_left_alone(operation: BuildIndex) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', '321ms', false)")
    build(operation)
    first = index()
    assert first is not None
    assert first[0]
    build(operation)
    assert index() == first
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('built_by_a_test')")
    build(operation)
    again = index()
    assert again is not None
    assert again[0]
    assert again != first
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        assert cursor.fetchone() == ("321ms",)


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_transactions_longer_than_for_locks(operation: BuildIndex) -> None:
    import threading

    import psycopg

    name = connection.settings_dict["NAME"]
    with psycopg.connect(servers.postgres.url(name)) as other:
        other.execute("UPDATE accounts_user SET name = name")
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', '100ms', false)")
        timer = threading.Timer(0.6, other.rollback)
        timer.start()
        try:
            build(operation)
        except OperationalError:
            pytest.fail("it gave up")
        finally:
            timer.join()
    assert index() is not None


@pytest.mark.django_db
def test_not_within_a_transaction(operation: BuildIndex) -> None:
    with pytest.raises(NotSupportedError):
        build(operation)
