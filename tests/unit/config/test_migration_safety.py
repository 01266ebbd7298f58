"""Migrations may run beside the version before: none locks a large table, none takes away what that version uses."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader

from accounts.lib.index_migrations import BuildIndex
from tests.migration_safety import SMALL, unsafe

# The last migration of each app that was written before this rule. A site that comes from 0.1.0 runs them; how long
# they lock is in docs/operations.md ("Upgrades").
BEFORE_THE_RULE = {"accounts": 24, "chat": 54, "workers": 12}


def test_no_new_migration_stops_a_running_site() -> None:
    found = []
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app in BEFORE_THE_RULE and int(name[:4]) > BEFORE_THE_RULE[app]:
            found += unsafe(migration)
    assert found == []


def test_small_tables_are_tables() -> None:
    assert {model._meta.label_lower for model in apps.get_models()} >= SMALL


def of(*operations: Any, **said: Any) -> list[str]:
    kind = type("Migration", (migrations.Migration,), {"operations": list(operations), **said})
    return unsafe(kind("0099_new", "chat"))


INDEX = models.Index(fields=["created_at"], name="by_time")
CHECK = models.CheckConstraint(condition=models.Q(depth__gte=0), name="depth")


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.AddIndex("message", INDEX), "BuildIndex"),
        (AddIndexConcurrently("message", INDEX), "BuildIndex"),
        (BuildIndex("message", INDEX), "atomic"),
        (migrations.AddConstraint("message", CHECK), "AddConstraintNotValid"),
        (migrations.AddField("message", "more", models.TextField(default="")), "db_default"),
        (migrations.AddField("preset", "more", models.TextField(default="")), "db_default"),
        (migrations.AddField("message", "more", models.TextField(null=True, db_index=True)), "concurrently"),
        (
            migrations.AddField("message", "more", models.ForeignKey("chat.run", models.CASCADE, null=True)),
            "db_constraint",
        ),
        (migrations.RenameField("message", "text", "words"), "name"),
        (migrations.RenameModel("Message", "Word"), "name"),
        (migrations.RemoveField("message", "text"), "unused_since"),
        (migrations.DeleteModel("Message"), "unused_since"),
        (migrations.RunPython(migrations.RunPython.noop), "batches"),
        (migrations.RunSQL("CREATE INDEX x ON chat_message (text)"), "write"),
        (migrations.RunSQL(["SELECT 1", ("ALTER TABLE chat_message ALTER x SET NOT NULL", None)]), "whole table"),
        (
            migrations.SeparateDatabaseAndState(database_operations=[migrations.AddIndex("message", INDEX)]),
            "BuildIndex",
        ),
    ],
)
def test_it_is_found(operation: Any, why: str) -> None:
    [said] = of(operation)
    assert why in said


@pytest.mark.parametrize(
    "operations",
    [
        [migrations.AddField("message", "more", models.TextField(default="", db_default=""))],
        [migrations.AddField("message", "more", models.TextField(null=True))],
        [
            migrations.CreateModel("Fresh", [("id", models.BigAutoField(primary_key=True))]),
            migrations.AddIndex("fresh", INDEX),
        ],
        [migrations.AddIndex("preset", INDEX)],
        [migrations.RunSQL("CREATE TABLE chat_new (id int)")],
    ],
)
def test_what_expands_is_allowed(operations: list[Any]) -> None:
    assert of(*operations) == []


def test_what_the_migration_says_is_believed() -> None:
    assert of(BuildIndex("message", INDEX), atomic=False) == []
    assert of(migrations.RemoveField("message", "text"), unused_since="0.3.0") == []
    assert of(migrations.RunPython(migrations.RunPython.noop), atomic=False) == []
    assert of(migrations.RunPython(migrations.RunPython.noop), small_tables="plans only") == []
