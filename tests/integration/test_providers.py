"""The OpenAI-compatible provider against a scripted server: every answer, every failure, over a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest

from tests.fakes.openai_scripts import Script, answer_text, parse_script
from tests.fakes.openai_server import FakeOpenAI
from workers.providers.base import ChatTurn, Chunk, ProviderError, Usage
from workers.providers.openai_chat import OpenAIChat, Timeouts
from workers.providers.tokens import estimate_tokens

TIMEOUTS = Timeouts(connect=2.0, first_chunk=5.0, idle=5.0, total=20.0)
KEY = "sk-test"


@dataclass
class Heard:
    """What came of one answer."""

    lists: list[list[Chunk]] = field(default_factory=list)
    requests: int = 0

    @property
    def chunks(self) -> list[Chunk]:
        return [chunk for chunks in self.lists for chunk in chunks]

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def usage(self) -> Usage:
        return [chunk.usage for chunk in self.chunks if chunk.usage is not None][-1]

    def note_request(self) -> None:
        self.requests += 1


@pytest.fixture
def server() -> Generator[FakeOpenAI]:
    with FakeOpenAI(api_key=KEY) as server:
        yield server


class Endpoints:
    """Opens endpoints, and closes them after the test, each with no connection left in use."""

    def __init__(self, server: FakeOpenAI, stack: AsyncExitStack) -> None:
        self.server = server
        self.stack = stack

    def open(self, url: str = "", key: str = KEY, **timeouts: float) -> OpenAIChat:
        endpoint = OpenAIChat(url or self.server.url, key, timeouts=replace(TIMEOUTS, **timeouts))
        self.stack.push_async_callback(self.close, endpoint)
        return endpoint

    async def close(self, endpoint: OpenAIChat) -> None:
        async with asyncio.timeout(2):
            while connections_in_use(endpoint):  # a body's end is read in the background
                await asyncio.sleep(0.01)
        await endpoint.close()


@pytest.fixture
async def endpoints(server: FakeOpenAI) -> AsyncGenerator[Endpoints]:
    async with AsyncExitStack() as stack:
        yield Endpoints(server, stack)


def connections_in_use(endpoint: OpenAIChat) -> int:
    """Of the pool below, which has no public way to tell."""
    session = endpoint._http._transport.client  # type: ignore[attr-defined]  # the transport's class is private
    return len(session.connector._acquired) if session is not None else 0


def ask(script: str) -> list[ChatTurn]:
    return [ChatTurn("system", "Be brief."), ChatTurn("user", f"Tell me [[{script}]]")]


async def listen(endpoint: OpenAIChat, script: str = "", heard: Heard | None = None) -> Heard:
    heard = heard if heard is not None else Heard()
    async with endpoint.stream("fake-large", ask(script), on_request=heard.note_request) as answer:
        async for chunks in answer:
            heard.lists.append(chunks)
    return heard


async def fail(endpoint: OpenAIChat, script: str = "", heard: Heard | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await listen(endpoint, script, heard)
    return caught.value


class TestAnswers:
    async def test_text_usage_finish_and_the_request(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = await listen(endpoints.open(), "tokens=5")
        assert heard.text == "tok0 tok1 tok2 tok3 tok4 "
        assert heard.usage == Usage(11, 5, cached_tokens=3)
        assert [chunk.finish_reason for chunk in heard.chunks if chunk.finish_reason] == ["stop"]
        assert heard.requests == 1
        assert all(heard.lists)
        (request,) = server.chats
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.body == {
            "model": "fake-large",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Tell me [[tokens=5]]"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    @pytest.mark.parametrize(
        "script",
        [
            "tokens=30 rate=200",
            "tokens=5 crlf=1 comments=1",
            "tokens=5 multiline=1",
            'text="Grüße, 你好 👋🏽 und Tschüß" split=1 drip=0.0002',
            'text="a, \\"b\\" and\\n\\tc" split=7 drip=0.001 crlf=1',
            "tokens=2 size=300000",
            "tokens=5 accept_delay=0.1 first_delay=0.1",
            "tokens=5 done=0",
            "tokens=5 finish=none",
            "tokens=5 body=json",
        ],
    )
    async def test_ways_of_writing(self, endpoints: Endpoints, script: str) -> None:
        heard = await listen(endpoints.open(), script)
        assert heard.text == answer_text(parse_script(script))
        assert not heard.usage.estimated

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    async def test_reasoning(self, endpoints: Endpoints, name: str) -> None:
        heard = await listen(endpoints.open(), f"tokens=2 reasoning=2 reasoning_field={name}")
        assert "".join(chunk.reasoning for chunk in heard.chunks) == "think0 think1 "
        assert heard.text == "tok0 tok1 "
        assert heard.usage.reasoning_tokens == 2

    @pytest.mark.parametrize("script", ["tokens=9 usage=0", "tokens=9 usage=0 body=json", "tokens=9 usage=0 done=0"])
    async def test_a_missing_usage_is_estimated(self, endpoints: Endpoints, script: str) -> None:
        heard = await listen(endpoints.open(), script)
        assert heard.usage.estimated
        assert heard.usage.output_tokens == estimate_tokens(heard.text)
        assert heard.usage.input_tokens > 10

    async def test_a_server_that_does_not_know_stream_options(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        for _ in range(2):
            heard = await listen(endpoint, "tokens=3 strict=1")
            assert heard.text == "tok0 tok1 tok2 "
            assert heard.usage.estimated
        assert ["stream_options" in request.body for request in server.chats] == [True, False, False]

    async def test_tokens_come_as_they_are_made(self, endpoints: Endpoints) -> None:
        heard = await listen(endpoints.open(), "tokens=10 rate=50")
        assert len([chunks for chunks in heard.lists if any(chunk.text for chunk in chunks)]) >= 8

    async def test_many_at_once(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        script = "tokens=20 rate=40"
        all_heard = await asyncio.gather(*(listen(endpoint, script) for _ in range(100)))
        assert {heard.text for heard in all_heard} == {answer_text(parse_script(script))}
        assert len(server.chats) == 100

    async def test_no_key_sends_none(self, endpoints: Endpoints, server: FakeOpenAI) -> None:
        server.api_key = ""
        assert (await listen(endpoints.open(key=""), "tokens=1")).text == "tok0 "
        assert "authorization" not in server.chats[0].headers

    async def test_credentials_in_the_address(self, endpoints: Endpoints, server: FakeOpenAI) -> None:
        server.api_key = ""
        url = server.url.replace("http://", "http://alice:s%40crt@")
        assert (await listen(endpoints.open(url, key=""), "tokens=1")).text == "tok0 "
        assert server.chats[0].headers["authorization"] == "Basic YWxpY2U6c0BjcnQ="


class TestConnections:
    async def test_one_warm_connection_serves_answers_one_after_another(
        self, server: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        endpoint = endpoints.open()
        await endpoint.open()
        for script in ("tokens=3", "tokens=3 rate=100", "tokens=3 body=json"):
            await listen(endpoint, script)
            await asyncio.gather(*endpoint._closing)
        await fail(endpoint, "status=401")
        await listen(endpoint, "tokens=3")
        assert [request.path for request in server.requests] == ["/v1/models", *["/v1/chat/completions"] * 5]
        assert {request.connection for request in server.requests} == {1}

    async def test_a_closed_endpoint_at_the_start_is_no_error(self) -> None:
        endpoint = OpenAIChat("http://127.0.0.1:1/v1", KEY, timeouts=TIMEOUTS)
        await endpoint.open()
        await endpoint.close()


class TestModels:
    async def test_the_list(self, endpoints: Endpoints) -> None:
        assert await endpoints.open().models() == ["fake-large", "fake-small"]

    async def test_the_operators_list_counts_and_needs_no_endpoint(self, server: FakeOpenAI) -> None:
        for url in (server.url, "http://127.0.0.1:1/v1"):
            endpoint = OpenAIChat(url, KEY, names=["mine"], timeouts=TIMEOUTS)
            assert await endpoint.models() == ["mine"]
            await endpoint.close()

    async def test_a_wrong_key(self, endpoints: Endpoints) -> None:
        with pytest.raises(ProviderError) as caught:
            await endpoints.open(key="wrong").models()
        assert caught.value.code == "upstream_unauthorized"

    async def test_a_server_with_a_problem(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        server.models_status = 503
        with pytest.raises(ProviderError) as caught:
            await endpoints.open().models()
        assert caught.value.code == "upstream_error"


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
    async def test_a_passing_failure_is_not_seen(self, server: FakeOpenAI, endpoints: Endpoints, script: str) -> None:
        server.play(script)
        heard = await listen(endpoints.open(), "tokens=3")
        assert heard.text == "tok0 tok1 tok2 "
        assert heard.requests == len(server.chats) == 2

    async def test_two_failures(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = await listen(endpoints.open(), "tokens=3 status=429 fails=2 retry_after=0.1")
        assert heard.text == "tok0 tok1 tok2 "
        assert len(server.chats) == 3

    async def test_three_failures_are_the_end(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        error = await fail(endpoints.open(), "status=500")
        assert (error.code, error.retryable) == ("upstream_error", True)
        assert len(server.chats) == 3
        pauses = [
            after.received_at - before.received_at
            for before, after in zip(server.chats, server.chats[1:], strict=False)
        ]
        assert 0.25 <= pauses[0] < 0.9
        assert 0.5 <= pauses[1] < 1.5

    async def test_retry_after_is_kept(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        await listen(endpoints.open(), "tokens=1 status=429 fails=1 retry_after=1")
        first, second = server.chats
        assert 1.0 <= second.received_at - first.received_at < 1.6

    async def test_a_long_retry_after_is_told_and_not_waited_for(
        self, server: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        error = await fail(endpoints.open(), "status=429 retry_after=60")
        assert (error.code, error.retry_after) == ("upstream_rate_limited", 60.0)
        assert len(server.chats) == 1

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
        self, server: FakeOpenAI, endpoints: Endpoints, script: str, code: str
    ) -> None:
        error = await fail(endpoints.open(), script)
        assert (error.code, error.retryable) == (code, False)
        assert len(server.chats) == 1

    async def test_a_wrong_path(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        error = await fail(endpoints.open(server.url.removesuffix("/v1")))
        assert error.code == "upstream_refused"
        assert "OPENAI_BASE_URL" in error.message

    async def test_nobody_listens(self, endpoints: Endpoints) -> None:
        heard = Heard()
        error = await fail(endpoints.open("http://127.0.0.1:1/v1"), "", heard)
        assert (error.code, error.retryable) == ("upstream_unreachable", True)
        assert heard.requests == 3

    async def test_a_port_that_speaks_no_tls(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        error = await fail(endpoints.open(server.url.replace("http:", "https:")))
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
            ("reasoning=3 tokens=9 rate=100 cut=3", "upstream_cut"),
        ],
    )
    async def test_the_beginning_is_kept(
        self, server: FakeOpenAI, endpoints: Endpoints, script: str, code: str
    ) -> None:
        heard = Heard()
        error = await fail(endpoints.open(), script, heard)
        assert (error.code, error.retryable) == (code, False)
        assert heard.text == ("tok0 tok1 tok2 " if "reasoning" not in script else "")
        assert len(server.chats) == 1

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

    async def assert_left(self, server: FakeOpenAI) -> None:
        (request,) = server.chats
        assert await asyncio.to_thread(request.wait_ended, 1)
        assert request.disconnected_at is not None

    @pytest.mark.parametrize("script", ["accept_delay=30", "first_delay=30", "hang=0"])
    async def test_no_first_byte(self, server: FakeOpenAI, endpoints: Endpoints, script: str) -> None:
        error, seconds = await self.measure(endpoints.open(first_chunk=0.4), script)
        assert 0.4 <= seconds < 1.4
        assert "begin" in error.message
        await self.assert_left(server)

    async def test_silence(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = Heard()
        error, seconds = await self.measure(endpoints.open(idle=0.4), "tokens=9 rate=100 hang=3", heard)
        assert 0.4 <= seconds < 1.5
        assert heard.text == "tok0 tok1 tok2 "
        assert "silent" in error.message
        await self.assert_left(server)

    async def test_a_drip_is_no_silence(self, endpoints: Endpoints) -> None:
        """Each event takes longer than the limit, but bytes keep coming."""
        heard = await listen(endpoints.open(idle=0.3), "tokens=2 split=25 drip=0.05")
        assert heard.text == "tok0 tok1 "

    async def test_too_long_in_all(self, server: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = Heard()
        error, seconds = await self.measure(endpoints.open(total=0.6), "tokens=1000 rate=50", heard)
        assert 0.6 <= seconds < 1.6
        assert 15 <= len(heard.text.split()) <= 35
        assert "too long" in error.message
        await self.assert_left(server)

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
        assert seconds < 1.4


def half_an_error(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 500 Oh\r\ncontent-length: 1000\r\n\r\n{")
        while connection.recv(65_536):
            pass
