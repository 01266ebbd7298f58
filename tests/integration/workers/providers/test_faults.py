"""The OpenAI-compatible provider when things go wrong: before the first token, after it, and when nothing comes."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from tests.fakes.listening import Endpoints, Heard, ask, fail, listen
from tests.fakes.openai_scripts import Script, answer_text
from tests.fakes.openai_server import FakeOpenAI
from workers.providers.base import ProviderError
from workers.providers.circuit_breaker import CircuitBreaker
from workers.providers.failover import GuardedEndpoint, GuardedModel
from workers.providers.http.error_kinds import NOT_SET_UP, TOO_SLOW
from workers.providers.openai.client import OpenAIChat


async def test_who_answered_is_named(upstream: FakeOpenAI, endpoints: Endpoints) -> None:
    """The first endpoint is down; the second, which has another name for its model, answers."""
    asked: list[tuple[str, str]] = []
    down = endpoints.open("http://127.0.0.1:1/v1")
    other = endpoints.open(upstream.url.replace("127.0.0.1", "localhost"))
    model = GuardedModel(
        [GuardedEndpoint(down, CircuitBreaker(10.0)), GuardedEndpoint(other, CircuitBreaker(10.0), model="fake-small")]
    )
    async with model.stream("large", ask("tokens=2"), on_request=lambda *who: asked.append(who)) as answer:
        assert [chunks async for chunks in answer]
    assert asked[0] == ("127.0.0.1:1", "large")
    assert asked[-1] == (f"localhost:{upstream.port}", "fake-small")


class TestBeforeTheFirstToken:
    """What is tried again, what is not, and what the person is told."""

    @pytest.mark.parametrize(
        "script",
        [
            "disconnect=1",
            "cut=0",
            "reset=0",
            "error=0",
            "error=0 code=rate_limit_exceeded",
            "status=408",
            "status=409",
            "status=429 retry_after=0.2",
            "status=500",
            "status=503",
        ],
    )
    async def test_a_passing_failure_is_not_seen(self, upstream: FakeOpenAI, endpoints: Endpoints, script: str) -> None:
        upstream.play(script)
        heard = await listen(endpoints.open(), "tokens=3")
        assert heard.text == "tok0 tok1 tok2 "
        assert heard.requests == len(upstream.chats) == 2

    async def test_two_failures(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = await listen(endpoints.open(), "tokens=3 status=429 fails=2 retry_after=0.1")
        assert heard.text == "tok0 tok1 tok2 "
        assert len(upstream.chats) == 3

    async def test_three_failures_are_the_end(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        error = await fail(endpoints.open(), "status=500")
        assert (error.code, error.retryable) == ("upstream_error", True)
        assert len(upstream.chats) == 3
        pauses = [
            after.received_at - before.received_at
            for before, after in zip(upstream.chats, upstream.chats[1:], strict=False)
        ]
        assert 0.25 <= pauses[0] < 0.9
        assert 0.5 <= pauses[1] < 1.5

    async def test_retry_after_is_kept(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        await listen(endpoints.open(), "tokens=1 status=429 fails=1 retry_after=1")
        first, second = upstream.chats
        assert 1.0 <= second.received_at - first.received_at < 1.6

    async def test_a_long_retry_after_is_told_and_not_waited_for(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        error = await fail(endpoints.open(), "status=429 retry_after=60")
        assert (error.code, error.retry_after) == ("upstream_rate_limited", 60.0)
        assert len(upstream.chats) == 1

    @pytest.mark.parametrize(
        ("script", "code"),
        [
            ("status=400", "upstream_refused"),
            ("status=400 code=context_length_exceeded", "context_too_long"),
            ("status=401", "upstream_unauthorized"),
            ("status=404", "model_not_found"),
            ("status=429 code=insufficient_quota", "upstream_quota"),
            ("garbage=0 tokens=1", "upstream_garbage"),
            ("body=html", "upstream_garbage"),
            ('body=raw text="{\\"choices\\": ["', "upstream_garbage"),
            ("tokens=0", "upstream_empty"),
            ("tokens=0 finish=content_filter", "upstream_refused"),
        ],
    )
    async def test_what_stays_wrong_is_asked_once(
        self, upstream: FakeOpenAI, endpoints: Endpoints, script: str, code: str
    ) -> None:
        error = await fail(endpoints.open(), script)
        assert (error.code, error.retryable) == (code, False)
        assert len(upstream.chats) == 1

    async def test_a_wrong_path(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        error = await fail(endpoints.open(upstream.url.removesuffix("/v1")))
        assert error.code == "upstream_refused"
        assert error.message == NOT_SET_UP

    async def test_nobody_listens(self, endpoints: Endpoints) -> None:
        heard = Heard()
        error = await fail(endpoints.open("http://127.0.0.1:1/v1"), "", heard)
        assert (error.code, error.retryable) == ("upstream_unreachable", True)
        assert heard.requests == 3

    async def test_a_port_that_speaks_no_tls(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        error = await fail(endpoints.open(upstream.url.replace("http:", "https:")))
        assert (error.code, error.retryable) == ("upstream_unreachable", False)

    async def test_a_port_that_speaks_no_http(self, endpoints: Endpoints) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=speak_ssh, args=(listening,))
            thread.start()
            error = await fail(endpoints.open(f"http://127.0.0.1:{listening.getsockname()[1]}/v1"))
            await asyncio.to_thread(thread.join, 2)
        assert (error.code, error.retryable) == ("upstream_garbage", False)


def speak_ssh(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")


class TestAfterTheFirstToken:
    """What was shown stays, and nothing is tried again."""

    @pytest.mark.parametrize(
        ("script", "code"),
        [
            ("tokens=9 rate=100 cut=3", "upstream_cut"),
            ("tokens=9 rate=100 reset=3", "upstream_cut"),
            ("tokens=9 rate=100 error=3", "upstream_error"),
            ("tokens=9 error=3", "upstream_error"),
            ("tokens=9 error=3 code=rate_limit_exceeded", "upstream_rate_limited"),
            ("tokens=9 rate=100 garbage=3", "upstream_garbage"),
            ("tokens=9 garbage=3", "upstream_garbage"),
            ("tokens=3 finish=none done=0", "upstream_cut"),
            ("tokens=3 finish=none", "upstream_cut"),
            ("reasoning=3 tokens=9 rate=100 cut=3", "upstream_cut"),
        ],
    )
    async def test_the_beginning_is_kept(
        self, upstream: FakeOpenAI, endpoints: Endpoints, script: str, code: str
    ) -> None:
        heard = Heard()
        error = await fail(endpoints.open(), script, heard)
        assert (error.code, error.retryable) == (code, False)
        assert heard.text == ("tok0 tok1 tok2 " if "reasoning" not in script else "")
        assert len(upstream.chats) == 1

    async def test_a_cut_after_the_finish_reason_is_none(self, endpoints: Endpoints) -> None:
        """Some servers drop the connection instead of closing the body."""
        raw = 'data: {"choices":[{"delta":{"content":"all"},"finish_reason":"stop"}]}\n\n'
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=answer_and_drop, args=(listening, raw.encode()))
            thread.start()
            heard = await listen(endpoints.open(f"http://127.0.0.1:{listening.getsockname()[1]}/v1"))
            await asyncio.to_thread(thread.join, 2)
        assert heard.text == "all"
        assert heard.usage.estimated


def answer_and_drop(listening: socket.socket, body: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65_536)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head + b"%x\r\n%b\r\n" % (len(body), body))


class TestClocks:
    async def measure(
        self, endpoint: OpenAIChat, script: str, heard: Heard | None = None
    ) -> tuple[ProviderError, float]:
        started = time.monotonic()
        error = await fail(endpoint, script, heard)
        assert error.code == "upstream_timeout"
        assert not error.retryable
        return error, time.monotonic() - started

    async def assert_left(self, upstream: FakeOpenAI) -> None:
        (request,) = upstream.chats
        assert await asyncio.to_thread(request.wait_ended, 10)
        assert request.disconnected_at is not None

    @pytest.mark.parametrize("script", ["accept_delay=30", "first_delay=30", "hang=0"])
    async def test_no_first_byte(self, upstream: FakeOpenAI, endpoints: Endpoints, script: str) -> None:
        error, seconds = await self.measure(endpoints.open(first_chunk=0.4), script)
        assert 0.4 <= seconds < 15
        assert error.message == TOO_SLOW
        await self.assert_left(upstream)

    async def test_silence(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = Heard()
        error, seconds = await self.measure(endpoints.open(idle=0.4), "tokens=9 rate=100 hang=3", heard)
        assert 0.4 <= seconds < 15
        assert heard.text == "tok0 tok1 tok2 "
        assert "stopped responding" in error.message
        await self.assert_left(upstream)

    async def test_a_drip_is_no_silence(self, endpoints: Endpoints) -> None:
        """Each event takes longer than the limit, but bytes keep coming."""
        heard = await listen(endpoints.open(idle=0.3), "tokens=2 split=25 drip=0.05")
        assert heard.text == "tok0 tok1 "

    async def test_too_long_in_all(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = Heard()
        error, seconds = await self.measure(endpoints.open(total=0.6), "tokens=1000 rate=50", heard)
        assert 0.6 <= seconds < 15
        assert 15 <= len(heard.text.split()) <= 35
        assert "too long" in error.message
        await self.assert_left(upstream)

    async def test_a_slow_reader_is_not_the_models_silence(self, endpoints: Endpoints) -> None:
        endpoint = endpoints.open(idle=0.3)
        heard = Heard()
        async with endpoint.stream("fake-large", ask("tokens=4 rate=100")) as answer:
            async for chunks in answer:
                heard.lists.append(chunks)
                await asyncio.sleep(0.4)
        assert heard.text == answer_text(Script(tokens=4))

    async def test_an_error_body_that_never_ends(self, endpoints: Endpoints) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=half_an_error, args=(listening,))
            thread.start()
            _, seconds = await self.measure(
                endpoints.open(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", first_chunk=0.4), ""
            )
            await asyncio.to_thread(thread.join, 2)
        assert not thread.is_alive(), "the connection was left open"
        assert seconds < 15


def half_an_error(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 500 Oh\r\ncontent-length: 1000\r\n\r\n{")
        while connection.recv(65_536):
            pass
