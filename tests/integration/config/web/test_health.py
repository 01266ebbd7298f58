"""`/livez` and `/readyz` of a real web process whose servers go away and come back."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.stack import Stack

Live = Callable[..., Stack]


def ask(stack: Stack, path: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a GET. The Host is nobody's: probes call a process by its bare address."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.webs[0].port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "10.1.2.3:8000"})
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


def await_status(stack: Stack, status: int, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        found, body = ask(stack, "/readyz")
        if found == status:
            return body
        assert time.monotonic() < deadline, (found, body)


def test_readiness_says_that_tables_are_locked(stack: Stack) -> None:
    """As by an ALTER TABLE: the database answers, and no message can be accepted."""
    await_status(stack, 200, 10)
    with psycopg.connect(stack.env["DATABASE_URL"]) as lock:
        lock.execute("LOCK TABLE chat_run IN ACCESS EXCLUSIVE MODE")
        status, body = ask(stack, "/readyz")
        assert (status, body["status"], list(body["wrong"])) == (503, "degraded", ["tables"])
    await_status(stack, 200, 5)


def test_readiness_names_what_is_wrong_and_recovers(live: Live) -> None:
    stack = live(workers=0, own_postgres=True)
    assert ask(stack, "/livez") == (200, {"status": "ok"})
    assert ask(stack, "/readyz") == (200, {"status": "ok"})

    stack.redis.kill()
    began = time.monotonic()
    status, body = ask(stack, "/readyz")
    assert time.monotonic() - began < 5
    assert (status, sorted(body["wrong"])) == (503, ["channel_layer", "redis"])
    assert ask(stack, "/livez")[0] == 200
    stack.redis.start()
    await_status(stack, 200, 10)

    stack.postgres.stop()
    began = time.monotonic()
    status, body = ask(stack, "/readyz")
    assert time.monotonic() - began < 5
    assert (status, sorted(body["wrong"])) == (503, ["database"])
    assert ask(stack, "/livez")[0] == 200
    stack.postgres.start()
    await_status(stack, 200, 10)


def test_a_database_that_is_not_migrated_is_not_ready(live: Live) -> None:
    stack = live(workers=0)
    stack.sql("DELETE FROM django_migrations WHERE app = 'chat'")
    web = stack.webs[0]
    web.stop()
    web.start()
    while web.status("/livez") != 200:
        time.sleep(0.05)
    status, body = ask(stack, "/readyz")
    assert status == 503
    assert "not applied" in body["wrong"]["database"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_is_json_that_nobody_caches(path: str) -> None:
    from config.web import health

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    health.State.draining = True  # no server is asked
    try:
        await health.application({"type": "http", "path": path}, None, send)
    finally:
        health.State.draining = False
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert sent[0]["status"] == (200 if path == "/livez" else 503)
    if path == "/readyz":
        assert json.loads(sent[1]["body"])["wrong"] == {"draining": "this process is stopping"}
