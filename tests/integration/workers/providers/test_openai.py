"""The OpenAI-compatible provider against a scripted server: every way of answering, over a real socket."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.listening import KEY, TIMEOUTS, Endpoints, ask, fail, listen
from tests.fakes.openai_oddities import STREAMS, WITHOUT_USAGE, chunk
from tests.fakes.openai_scripts import Script, answer_text, parse_script
from tests.fakes.openai_server import FakeOpenAI
from workers.providers.base import Options, ProviderError, SentOptions, TokenUsage
from workers.providers.openai.client import OpenAIChat
from workers.providers.token_estimate import estimate_tokens

WISHES = {"temperature", "max_tokens", "max_completion_tokens"}


class TestAnswers:
    async def test_text_usage_finish_and_the_request(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        heard = await listen(endpoints.open(), "tokens=5")
        assert heard.text == "tok0 tok1 tok2 tok3 tok4 "
        assert heard.usage == TokenUsage(11, 5, cached_tokens=3)
        assert [chunk.finish_reason for chunk in heard.chunks if chunk.finish_reason] == ["stop"]
        assert heard.requests == 1
        assert all(heard.lists)
        (request,) = upstream.chats
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
            "tokens=5 body=json",
            "tokens=5 body=json finish=none",
            "tokens=5 status=201",
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

    async def test_a_server_that_does_not_know_stream_options(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        for _ in range(2):
            heard = await listen(endpoint, "tokens=3 strict=1")
            assert heard.text == "tok0 tok1 tok2 "
            assert heard.usage.estimated
        assert ["stream_options" in request.body for request in upstream.chats] == [True, False, False]

    async def test_tokens_come_as_they_are_made(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        async with endpoints.open().stream("fake-large", ask("tokens=30 rate=20")) as answer:
            async for chunks in answer:
                assert chunks[0].text == "tok0 "
                assert upstream.chats[0].tokens_sent < 15
                break

    async def test_many_at_once(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        script = "tokens=20 rate=40"
        all_heard = await asyncio.gather(*(listen(endpoint, script) for _ in range(100)))
        assert {heard.text for heard in all_heard} == {answer_text(parse_script(script))}
        assert len(upstream.chats) == 100

    async def test_no_key_sends_none(self, endpoints: Endpoints, upstream: FakeOpenAI) -> None:
        upstream.api_key = ""
        assert (await listen(endpoints.open(key=""), "tokens=1")).text == "tok0 "
        assert "authorization" not in upstream.chats[0].headers

    async def test_credentials_in_the_address(self, endpoints: Endpoints, upstream: FakeOpenAI) -> None:
        upstream.api_key = ""
        url = upstream.url.replace("http://", "http://alice:s%40crt@")
        assert (await listen(endpoints.open(url, key=""), "tokens=1")).text == "tok0 "
        assert upstream.chats[0].headers["authorization"] == "Basic YWxpY2U6c0BjcnQ="


class TestOddStreams:
    """What real servers send (`tests/fakes/openai_oddities.py`), over a real socket."""

    @pytest.mark.parametrize("name", [name for name, stream in STREAMS.items() if not stream.code])
    async def test_the_answer_is_whole(self, upstream: FakeOpenAI, endpoints: Endpoints, name: str) -> None:
        stream = STREAMS[name]
        upstream.play(Script(body="raw", text=stream.body.decode()))
        heard = await listen(endpoints.open())
        assert heard.text == stream.text
        assert heard.usage.implausible == (name in WITHOUT_USAGE)
        assert heard.usage.estimated == (stream.counts is None)
        assert 0 < heard.usage.output_tokens < 100
        assert len(upstream.chats) == 1

    async def test_finish_with_every_chunk_is_no_end(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        """The pauses are longer than what a stream may take from its end to its close."""
        body = chunk("Hello ", finish="stop") + chunk("world", finish="stop") + chunk("", finish="stop")
        upstream.play(Script(body="raw", text=body.decode(), split=100, drip=0.4))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("workers.providers.http.request.TAIL_TIMEOUT", 0.1)
            assert (await listen(endpoints.open())).text == "Hello world"

    @pytest.mark.parametrize("body", ["", "\n\n", "\ufeff"])
    async def test_nothing_is_said_as_that(self, upstream: FakeOpenAI, endpoints: Endpoints, body: str) -> None:
        """Whether it is tried with a shorter context is for the answer to decide (`workers.generation`)."""
        upstream.play(Script(body="raw", text=body))
        error = await fail(endpoints.open())
        assert (error.code, error.reason) == ("upstream_empty", "nothing")
        assert error.message.startswith("The model's server sent nothing.")
        assert len(upstream.chats) == 1


class TestConnections:
    async def test_one_warm_connection_serves_answers_one_after_another(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        endpoint = endpoints.open()
        await endpoint.open()
        for script in ("tokens=3", "tokens=3 rate=100", "tokens=3 body=json"):
            await listen(endpoint, script)
            await asyncio.gather(*endpoint.transport._closing)
        await fail(endpoint, "status=401")
        await listen(endpoint, "tokens=3")
        assert [request.path for request in upstream.requests] == ["/v1/models", *["/v1/chat/completions"] * 5]
        assert {request.connection for request in upstream.requests} == {1}

    async def test_a_bodys_end_is_waited_for_in_the_background(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        """So that the connection can be kept, and the answer's end does not wait for it."""
        endpoint = endpoints.open()
        for _ in range(3):
            await listen(endpoint, "tokens=3 linger=0.1")
            assert upstream.chats[-1].finished_at is None
            await asyncio.gather(*endpoint.transport._closing)
        assert {request.connection for request in upstream.chats} == {1}

    async def test_a_body_without_end_is_left(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        await listen(endpoints.open(), "tokens=3 linger=30")
        assert await asyncio.to_thread(upstream.chats[0].wait_ended, 2)
        assert upstream.chats[0].disconnected_at is not None

    async def test_a_closed_endpoint_at_the_start_is_no_error(self) -> None:
        endpoint = OpenAIChat("http://127.0.0.1:1/v1", KEY, timeouts=TIMEOUTS)
        await endpoint.open()
        await endpoint.close()


class TestOptions:
    """What a preset wishes, in the words each model takes."""

    async def told(self, endpoint: OpenAIChat, script: str, options: Options) -> str:
        said = []
        async with endpoint.stream("fake-large", ask(script), options=options) as answer:
            async for chunks in answer:
                said += [chunk.text for chunk in chunks]
        return "".join(said)

    async def test_they_are_sent(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        assert await self.told(endpoint, "tokens=1", Options(temperature=0.0, max_tokens=7)) == "tok0 "
        assert (upstream.chats[0].body["temperature"], upstream.chats[0].body["max_tokens"]) == (0.0, 7)
        await self.told(endpoint, "tokens=1", Options())
        assert not {"temperature", "max_tokens"} & set(upstream.chats[1].body)

    async def test_a_reasoning_model_is_asked_as_it_likes_from_then_on(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        endpoint = endpoints.open()
        for _ in range(2):
            assert await self.told(endpoint, "tokens=1 reasoner=1", Options(0.3, 7)) == "tok0 "
        bodies = [set(chat.body) & WISHES for chat in upstream.chats]
        assert bodies == [
            {"temperature", "max_tokens"},
            {"temperature", "max_completion_tokens"},
            {"max_completion_tokens"},
            {"max_completion_tokens"},
        ]

    async def test_it_says_what_was_really_sent(self, endpoints: Endpoints) -> None:
        endpoint, sent = endpoints.open(), SentOptions()
        options = Options(0.3, 7, "low", sent=sent)
        assert await self.told(endpoint, "tokens=1", options) == "tok0 "
        assert sent == SentOptions(0.3, 7, "low", known=True)
        assert await self.told(endpoint, "tokens=1 reasoner=1", options) == "tok0 "
        assert sent == SentOptions(None, 7, "low", known=True)

    async def test_a_value_out_of_range_is_left_out_of_one_answer(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        endpoint = endpoints.open()
        upstream.play(Script(status=400, said="temperature must be between 0 and 1"))
        assert await self.told(endpoint, "tokens=1", Options(1.5)) == "tok0 "
        assert await self.told(endpoint, "tokens=1", Options(0.5)) == "tok0 "
        assert [chat.body.get("temperature") for chat in upstream.chats] == [1.5, None, 0.5]

    async def test_effort_is_sent_until_the_model_refuses_it(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        assert await self.told(endpoint, "tokens=1", Options(effort="low")) == "tok0 "
        upstream.play(Script(status=400, said="Unrecognized request argument supplied: reasoning_effort"))
        for _ in range(2):
            assert await self.told(endpoint, "tokens=1", Options(effort="high")) == "tok0 "
        assert [chat.body.get("reasoning_effort") for chat in upstream.chats] == ["low", "high", None, None]

    async def test_one_models_refusal_is_not_the_others(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        await listen(endpoint, "tokens=1 strict=1")
        async with endpoint.stream("fake-small", ask("tokens=1")) as answer:
            assert [chunks async for chunks in answer]
        assert ["stream_options" in chat.body for chat in upstream.chats] == [True, False, True]

    async def test_a_longest_answer_that_is_named_is_used(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        endpoint = endpoints.open()
        said = "max_tokens is too large: 9000. This model supports at most 4096 completion tokens."
        upstream.play(Script(status=400, said=said))
        for _ in range(2):
            assert await self.told(endpoint, "tokens=1", Options(max_tokens=9000)) == "tok0 "
        assert [chat.body["max_tokens"] for chat in upstream.chats] == [9000, 4096, 4096]

    async def test_a_system_prompt_that_is_refused_goes_into_the_question(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        endpoint = endpoints.open()
        upstream.play(Script(status=400, said="System role not supported"))
        for _ in range(2):
            assert (await listen(endpoint, "tokens=1")).text == "tok0 "
        _, *folded = (chat.body["messages"] for chat in upstream.chats)
        assert folded == [[{"role": "user", "content": "Be brief.\n\nTell me [[tokens=1]]"}]] * 2

    async def test_a_refusal_for_another_reason_is_not_asked_again(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        with pytest.raises(ProviderError, match="upstream_refused"):
            await self.told(endpoints.open(), "status=400", Options(0.3, 7))
        assert len(upstream.chats) == 1


class TestModels:
    async def test_a_query_in_the_address_goes_with_every_request(
        self, upstream: FakeOpenAI, endpoints: Endpoints
    ) -> None:
        endpoint = endpoints.open(f"  {upstream.url}/?api-version=2024-10-21 ")
        assert await endpoint.models() == ["fake-large", "fake-small"]
        assert (await listen(endpoint, "tokens=1")).text == "tok0 "
        assert [request.path for request in upstream.requests] == [
            "/v1/models?api-version=2024-10-21",
            "/v1/chat/completions?api-version=2024-10-21",
        ]

    async def test_the_list(self, endpoints: Endpoints) -> None:
        assert await endpoints.open().models() == ["fake-large", "fake-small"]

    async def test_a_wrong_key(self, endpoints: Endpoints) -> None:
        with pytest.raises(ProviderError) as caught:
            await endpoints.open(key="wrong").models()
        assert caught.value.code == "upstream_unauthorized"

    async def test_a_server_with_a_problem(self, upstream: FakeOpenAI, endpoints: Endpoints) -> None:
        upstream.models_status = 503
        with pytest.raises(ProviderError) as caught:
            await endpoints.open().models()
        assert caught.value.code == "upstream_error"
