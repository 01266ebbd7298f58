"""What the doctor says of each kind of breakage, asked in this process."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.lib.redis import sync_redis
from config.ops import installation_checks
from config.ops.diagnosis import Finding, Level, examine
from config.stack import reach
from config.stack.errors import StackError
from workers.runtime.beat_lease import LEASE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def ask(name: str) -> Finding:
    [finding] = examine([name])
    return finding


def execute(statement: str, *args: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, args)
        return cursor.fetchall() if cursor.description else []


def test_missing_migrations_are_named_and_so_is_a_newer_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        installation_checks, "connect_to_database", lambda _url: None
    )  # the tests' database has no URL of its own
    assert ask("database").level is Level.OK
    execute("INSERT INTO django_migrations (app, name, applied) VALUES ('chat', '9999_of_tomorrow', now())")
    found = ask("database")
    assert found.level is Level.WARN
    assert "newer version" in found.said
    assert "chat.9999_of_tomorrow" in found.said
    execute("DELETE FROM django_migrations WHERE name = '9999_of_tomorrow'")
    newest = "SELECT max(name) FROM django_migrations WHERE app = 'chat'"
    [(name,)] = execute(newest)
    execute("UPDATE django_migrations SET app = 'hidden' WHERE app = 'chat' AND name = %s", name)
    try:
        found = ask("database")
        assert found.level is Level.FAIL
        assert f"chat.{name}" in found.said
        assert "prepare" in found.advice
    finally:
        execute("UPDATE django_migrations SET app = 'chat' WHERE app = 'hidden'")


def test_servers_that_hang_are_told_from_those_that_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SECONDS", 2)  # libpq's least
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        port = silent.getsockname()[1]
        with pytest.raises(StackError, match=f"Redis at 127.0.0.1:{port} did not answer within .* hangs"):
            reach.check_redis(f"redis://127.0.0.1:{port}/0")
        with pytest.raises(StackError, match=f"PostgreSQL at 127.0.0.1:{port} did not answer within .* hangs"):
            reach.check_database(f"postgresql://somebody:secret@127.0.0.1:{port}/antiphon")
    with pytest.raises(StackError, match="cannot be reached: start it"):
        reach.check_redis(f"redis://127.0.0.1:{port}/0")


def test_a_wrong_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("clock").level is Level.OK
    real = time.time
    monkeypatch.setattr(installation_checks.time, "time", lambda: real() + 3600)  # type: ignore[attr-defined]  # its import
    found = ask("clock")
    assert found.level is Level.WARN
    assert "3600." in found.said or "3599." in found.said
    assert "NTP" in found.advice


class Strict(http.server.BaseHTTPRequestHandler):
    """An API that knows nobody, as OpenAI's says it."""

    def do_GET(self) -> None:
        body = b'{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}'
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


def test_a_wrong_key(settings: Any) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Strict) as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{upstream.server_address[1]}/v1"
        settings.OPENAI_API_KEY = "sk-canary-of-the-doctor"
        found = ask("model")
        upstream.shutdown()
    assert found.level is Level.FAIL, found
    assert "upstream_unauthorized" in found.said
    assert "OPENAI_API_KEY" in found.advice
    assert "canary" not in found.said + found.advice


def test_the_demo_model_is_well_for_a_first_look_only(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.ALLOWED_HOSTS = ["localhost"]
    assert ask("model").level is Level.OK
    settings.ALLOWED_HOSTS = ["chat.example.org"]
    found = ask("model")
    assert found.level is Level.WARN
    assert "OPENAI_API_KEY" in found.advice


def test_whether_anybody_schedules_periodic_jobs() -> None:
    found = ask("beat")
    assert (found.level, "manage.py beat" in found.advice) == ("warn", True)
    sync_redis().set(LEASE, "host:1:abc")
    found = ask("beat")
    assert (found.level, found.said) == ("ok", "host:1 schedules the periodic jobs.")
