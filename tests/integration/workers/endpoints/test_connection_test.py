"""What a test of an endpoint says: each way it can fail has a sentence of its own, and none holds the key."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.lib.redis import sync_redis
from chat.jobs import worker_replies
from config.ops.diagnosis import Level, examine
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.workers.endpoints.endpoint_rows import KEY, defined, make_row
from tests.integration.workers.endpoints.endpoint_rows import nothing_configured as nothing_configured  # a fixture
from tests.integration.workers.endpoints.endpoint_rows import one as one  # likewise
from workers.endpoints import connection_test
from workers.endpoints.connection_test import request_connection_test, run_connection_test
from workers.endpoints.service import UNREADABLE
from workers.models import Endpoint, EndpointModel
from workers.providers.config import Timeouts

pytestmark = pytest.mark.usefixtures("clean_redis", "nothing_configured")

QUICK = Timeouts(connect=1.0, first_chunk=1.0, idle=1.0, total=3.0)


@contextlib.asynccontextmanager
async def answering(raw: bytes) -> AsyncGenerator[str]:
    """The address of a server that says this to whoever connects."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1000)
            writer.write(raw)
            await writer.drain()
            writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def http(status: str, body: bytes = b"{}", kind: str = "application/json", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{extra}"
    return head.encode() + b"\r\n" + body


async def test_it_works(one: FakeOpenAI) -> None:
    result = await run_connection_test(defined("a", one, models=(("fake-large", "Large"), ("missing", "Missing"))))
    assert result.passed
    assert result.message.startswith("It works: fake-large started to answer after ")
    assert "It lists 2 models (" in result.message
    assert result.message.endswith("Not in its list: missing.")
    assert (result.models, result.model) == (2, "fake-large")
    assert [turn["role"] for turn in one.chats[0].body["messages"]] == ["system", "user"], "as chats send it"
    assert one.chats[0].body["messages"][1]["content"] == connection_test.QUESTION
    assert await asyncio.to_thread(one.chats[0].wait_ended, 2), "it goes after the first word"


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_one_that_refuses_to_list_but_answers(one: FakeOpenAI, status: int) -> None:
    one.models_status = status
    result = await run_connection_test(defined("a", one, models=(("fake-large", "Large"),)))
    assert result.passed
    assert f"It does not list its models (HTTP {status})" in result.message


async def test_one_that_lists_no_model_for_chatting(one: FakeOpenAI) -> None:
    one.models = ["nomic-embed-text"]
    result = await run_connection_test(defined("a", one))
    assert (result.passed, result.code, result.models) == (False, "no_model", 1)
    assert (await run_connection_test(defined("a", one, shown=frozenset({"nomic-embed-text"})))).passed


async def test_a_server_that_still_loads_its_model(one: FakeOpenAI) -> None:
    one.play(Script(status=503, said="Loading model"), times=1000)
    result = await run_connection_test(defined("a", one))
    assert (result.passed, result.code) == (False, "upstream_loading")
    assert result.message.startswith("The model is being loaded.")


async def test_a_bare_call_of_a_tool_is_no_answer(one: FakeOpenAI) -> None:
    one.play("tokens=0 finish=tool_calls")
    result = await run_connection_test(defined("a", one))
    assert (result.passed, result.code) == (False, "upstream_tool_call")


async def test_one_that_lists_nothing_but_serves_what_is_named(one: FakeOpenAI) -> None:
    one.models_status = 404
    result = await run_connection_test(defined("a", one, models=(("fake-large", "Large"),)))
    assert result.passed
    assert "It does not list its models" in result.message
    assert not (await run_connection_test(defined("a", one))).passed
    one.models_status, one.models = 200, []
    assert (await run_connection_test(defined("a", one))).message.startswith(
        "The endpoint responds but lists no models."
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/v1", "Connection refused by 127.0.0.1:1."),
        ("http://localhost:1/v1", "Connection refused by localhost:1."),
        ("http://no-such-name.invalid/v1", "The workers cannot resolve the host name no-such-name.invalid."),
        ("http://169.254.169.254/v1", "This address cannot be used for a model"),
    ],
)
async def test_who_cannot_be_reached(url: str, said: str) -> None:
    result = await run_connection_test(defined("a", url, timeouts=QUICK))
    assert (result.passed, result.message.startswith(said)) == (False, True), result.message


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            http("401 Unauthorized", f'{{"error":{{"message":"bad key {KEY}"}}}}'.encode()),
            "The endpoint rejected the API",
        ),
        (http("403 Forbidden", f'{{"error":"{KEY}"}}'.encode()), "The API key has no permission for this (403)."),
        (http("404 Not Found", b"nothing here", "text/plain"), "There is no such API at http://127.0.0.1:"),
        (http("200 OK", b"<!doctype html><title>Hello</title>", "text/html"), "127.0.0.1:"),
        (
            http("307 Temporary Redirect", extra="Location: http://127.0.0.1:1/\r\n"),
            "The endpoint redirects to ",
        ),
        (http("500 Oops", f'{{"error":"their words, {KEY[:9]}"}}'.encode()), "The model's server has a problem."),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "127.0.0.1:"),
    ],
)
async def test_who_answers_something_else(raw: bytes, said: str) -> None:
    async with answering(raw) as url:
        result = await run_connection_test(defined("a", url, timeouts=QUICK))
    assert (result.passed, result.message.startswith(said)) == (False, True), result.message
    assert KEY not in str(result)
    assert KEY[:9] not in str(result), "nor a part of it"
    if b"their words" in raw:
        assert "It said: " in result.message
        assert "their words, ***" in result.message


async def test_who_speaks_no_tls() -> None:
    async with answering(b"no TLS here\r\n") as url:
        result = await run_connection_test(defined("a", url.replace("http", "https"), timeouts=QUICK))
    assert result.message.startswith("No secure connection to 127.0.0.1:"), result.message


async def test_who_says_nothing(one: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    one.play("hang=0")
    result = await run_connection_test(defined("a", one, timeouts=QUICK))
    assert (result.passed, result.code) == (False, "upstream_timeout"), result.message
    one.play("accept_delay=5")
    monkeypatch.setattr(connection_test, "TEST_SECONDS", 0.3)
    slow = Timeouts(connect=1.0, first_chunk=9.0, idle=9.0, total=9.0)
    assert (await run_connection_test(defined("a", one, timeouts=slow))).code == "upstream_timeout"


async def test_a_key_that_cannot_be_read(one: FakeOpenAI) -> None:
    result = await run_connection_test(defined("a", one, trouble=UNREADABLE))
    assert result.message == f"{UNREADABLE} Enter it again."
    assert not one.requests


class TestAsking:
    """From the web process: a worker is asked, and what is said when none is there."""

    def beat(self) -> None:
        heart = {"owner": "w", "host": "h", "pid": 1, "runs": 0, "slots": 1, "draining": False, "since": 0.0}
        sync_redis().set("worker:w", json.dumps(heart), ex=15)

    def test_no_worker(self) -> None:
        assert request_connection_test(uuid.uuid4()).message.startswith("No worker is running")

    def test_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.beat()
        monkeypatch.setattr(connection_test, "WAIT_SECONDS", 0.5)
        assert request_connection_test(uuid.uuid4()).message.startswith("No worker took the test within")
        job = sync_redis().lindex("generate", -1)
        assert KEY not in str(job)

    async def test_whoever_comes_late_asks_nothing(self) -> None:
        await connection_test.answer_request(uuid.uuid4(), "connection-test:late")
        assert not sync_redis().exists("connection-test:late")

    def test_no_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import redis

        def away() -> Any:
            raise redis.ConnectionError

        monkeypatch.setattr(worker_replies, "living_workers", away)
        assert request_connection_test(uuid.uuid4()).message.startswith("Redis cannot be reached")


@pytest.mark.django_db(transaction=True)
class TestCommands:
    def test_models_lists_and_tests_each_endpoint(self, one: FakeOpenAI, capsys: pytest.CaptureFixture[str]) -> None:
        make_row(one)
        call_command("models", "--test", "--json")
        found = json.loads(capsys.readouterr().out)
        assert found["models"] == ["fake-large", "shared"]
        [endpoint] = found["endpoints"]
        assert (endpoint["name"], endpoint["passed"]) == ("One", True)
        assert found["test"]["model"] == "fake-large"
        make_row("http://127.0.0.1:1/v1", "Down")
        with pytest.raises(SystemExit):
            call_command("models", "--test")
        out = capsys.readouterr().out
        assert "Down: http://127.0.0.1:1/v1\n    Connection refused" in out
        assert KEY not in out

    def test_models_with_nothing_that_answers(self, capsys: pytest.CaptureFixture[str]) -> None:
        make_row("http://127.0.0.1:1/v1", "Down")
        with pytest.raises((CommandError, SystemExit)):
            call_command("models", "--test")

    def test_the_doctor(self, settings: Settings, one: FakeOpenAI) -> None:
        row = make_row(one)
        [found] = examine(["model"])
        assert found.level is Level.OK, found
        assert f"127.0.0.1:{one.port}: 2 models" in found.said
        down = make_row("http://127.0.0.1:1/v1", "Down")
        EndpointModel.objects.create(endpoint=down, name="m")
        [found] = examine(["model"])
        assert (found.level, "Down: " in found.said) == (Level.WARN, True), found
        down.delete()
        settings.SECRET_KEY = "another"
        [found] = examine(["model"])
        assert (found.level, found.said) == (Level.FAIL, f"{row.name}: {UNREADABLE}")
        assert "ENCRYPTION_KEYS" in found.advice
        Endpoint.objects.all().delete()
        [found] = examine(["model"])
        assert "demo" in found.said
