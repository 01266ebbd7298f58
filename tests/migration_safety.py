"""Finds operations of migrations that would stop a running site, or break the version before it.

During a rolling update the old version writes to the new schema, so a release only *expands* it: new tables, nullable
columns or columns with a default in the database, indexes built concurrently. What is not used any more is removed by a
later release (*contract*): its migration names the release that stopped using it (`unused_since = "0.3.0"`).

A migration may say `small_tables = "why"`: its tables have few rows on any site.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.contrib.postgres import operations as postgres
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

from accounts.lib.index_migrations import BuildIndex

# Tables with few rows on any site: what staff or operators set up.
SMALL: Final = frozenset({
    "accounts.invitation", "accounts.plan", "accounts.price", "accounts.quota", "accounts.sitesettings",
    "chat.knownmodel", "chat.knowntool", "chat.moderationrule", "chat.periodicjob", "chat.policystep", "chat.preset",
    "chat.strikescale", "chat.toolpolicy", "chat.toolserver", "chat.toolswitch", "chat.webhook", "workers.embedder",
    "workers.endpoint", "workers.endpointmodel", "workers.judge", "workers.judgedcategory", "workers.modelfact",
    "workers.searchprovider",
})  # fmt: skip
LOCKING_SQL: Final = (
    (r"CREATE\s+(UNIQUE\s+)?INDEX(?!\s+CONCURRENTLY)", "builds an index while nobody can write"),
    (r"\bSET\s+NOT\s+NULL\b", "reads the whole table while nobody can read or write"),
    (r"\bLOCK\s+TABLE\b", "locks a table"),
    (r"\bVACUUM\s+FULL\b|\bCLUSTER\b", "writes the table anew while nobody can read or write"),
    (r"\bALTER\s+COLUMN\s+\S+\s+TYPE\b", "may write the table anew while nobody can read or write"),
    (r"\bRENAME\s+(TO|COLUMN)\b", "takes away a name that the version before uses"),
    (r"\bDROP\s+(TABLE|COLUMN)\b", "takes away what the version before uses"),
)


def unsafe(migration: migrations.Migration) -> list[str]:
    """A sentence for each unsafe operation."""
    big = not str(getattr(migration, "small_tables", ""))
    made = {f"{migration.app_label}.{one.name.lower()}" for one in _flat(migration.operations)
            if isinstance(one, migrations.CreateModel)}  # fmt: skip
    found = []
    for operation in _flat(migration.operations):
        table = f"{migration.app_label}.{_table(operation)}"
        is_big = big and table not in made and table not in SMALL
        if said := _unsafe(migration, operation, table, is_big):
            found.append(f"{migration.app_label}.{migration.name}: {said}")
    return found


def _flat(operations: Sequence[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _table(operation: Operation) -> str:
    names: list[Any] = [getattr(operation, name, "") for name in ("model_name", "old_name", "name")]
    return str(next(filter(None, names), "")).lower()


def _unsafe(migration: migrations.Migration, operation: Operation, table: str, is_big: bool) -> str:
    what = f"{type(operation).__name__} of {table}"
    if isinstance(operation, BuildIndex | postgres.RemoveIndexConcurrently):
        return f"{what} needs `atomic = False`" if migration.atomic else ""
    if isinstance(operation, postgres.AddIndexConcurrently):
        return f"{what} leaves an invalid index behind where it is interrupted: use BuildIndex"
    if isinstance(operation, postgres.AddConstraintNotValid | postgres.ValidateConstraint):
        return ""
    if isinstance(operation, migrations.RenameField | migrations.RenameModel | migrations.AlterModelTable):
        return f"{what} takes away a name that the version before uses: add the new one, and remove the old one later"
    if isinstance(operation, migrations.RemoveField | migrations.DeleteModel | migrations.RemoveConstraint):
        said = isinstance(operation, migrations.RemoveConstraint) or bool(getattr(migration, "unused_since", ""))
        return "" if said else f"{what} takes away what the version before uses: say `unused_since`"
    if isinstance(operation, migrations.AddField):
        return _unsafe_field(what, operation.field, is_big)
    if isinstance(operation, migrations.AddIndex) and is_big:
        return f"{what} builds an index while nobody can write: use BuildIndex"
    if isinstance(operation, migrations.AddConstraint) and is_big:
        return f"{what} reads the whole table under a lock: use AddConstraintNotValid, then ValidateConstraint"
    if isinstance(operation, migrations.AlterUniqueTogether | migrations.AlterIndexTogether) and is_big:
        return f"{what} builds an index while nobody can write"
    if isinstance(operation, migrations.RunPython) and is_big and migration.atomic:
        return (
            "RunPython in one transaction keeps what it changes locked: `atomic = False` and batches, or `small_tables`"
        )
    if isinstance(operation, migrations.RunSQL):
        for statement in _statements(operation.sql):
            for pattern, why in LOCKING_SQL:
                if is_big and re.search(pattern, statement, re.IGNORECASE):
                    return f"RunSQL {why}: {statement.strip()[:60]}"
    return ""


def _unsafe_field(what: str, field: Any, is_big: bool) -> str:
    if isinstance(field, models.ManyToManyField):
        return ""
    has_default = field.db_default is not NOT_PROVIDED or getattr(field, "generated", False)
    if not field.null and not has_default and not field.primary_key:
        return f"{what} ({field.name}): the version before writes rows without it: null=True or db_default"
    if not is_big:
        return ""
    if field.unique or (field.db_index and not isinstance(field, models.ForeignKey)):
        return (
            f"{what} ({field.name}) builds an index while nobody can write: add the column, then the index concurrently"
        )
    if isinstance(field, models.ForeignKey) and (_of(field, "db_constraint") or _of(field, "db_index")):
        return (
            f"{what} ({field.name}) builds an index and checks every row under a lock: db_constraint=False and "
            "db_index=False, then the index concurrently"
        )
    return ""


def _of(field: Any, name: str) -> bool:
    return bool(getattr(field, name))


def _statements(sql: Any) -> Iterator[str]:
    for one in sql if isinstance(sql, list | tuple) else [sql]:
        text = one[0] if isinstance(one, list | tuple) else one
        yield re.sub(r"--[^\n]*", "", str(text))
