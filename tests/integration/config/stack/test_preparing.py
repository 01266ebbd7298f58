"""What `manage.py prepare` does in the database."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from config.management.commands import prepare


@pytest.mark.django_db(transaction=True)
def test_a_pause_within_a_migration_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine stopped it for ten seconds between two statements, and the start failed."""
    during: list[str] = []

    def migrate(name: str, **_: Any) -> None:
        assert name == "migrate"
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            during.append(cursor.fetchone()[0])

    monkeypatch.setattr(prepare, "call_command", migrate)
    monkeypatch.setattr(prepare, "gather_static", lambda: None)
    said = io.StringIO()
    try:
        call_command("prepare", stdout=said)
    finally:
        with connection.cursor() as cursor:  # the connection goes back to the pool
            cursor.execute("RESET idle_in_transaction_session_timeout")
    assert during == ["1min"]
    assert json.loads(said.getvalue()) == {"email": "", "password": ""}
