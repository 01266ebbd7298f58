"""Every dialect, the same behaviour: each test runs on each of them, against a server that speaks its protocol."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.endpoint import TIMEOUTS, TURNS, Endpoint
from tests.fakes.dialects.script import ANSWERED_BY, MODEL, SYSTEM, Script
from tests.fakes.listening import Heard, connections_in_use
from workers.generation.outcome import finish_of
from workers.providers.base import ChatTurn, Options
from workers.providers.config import Extras
from workers.providers.token_estimate import estimate_tokens


def finishes(heard: Heard) -> list[str]:
    return [chunk.finish_reason for chunk in heard.chunks if chunk.finish_reason]


def reasoning(heard: Heard) -> str:
    return "".join(chunk.reasoning for chunk in heard.chunks)


async def test_text_usage_end_and_who_answered(endpoint: Endpoint) -> None:
    script = Script(reasoning=("think ", "more "), thought=2)
    heard = await endpoint.ask(script)
    assert heard.text == script.text
    assert reasoning(heard).replace("\n\n", "") == "think more "
    usage = heard.usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (11, 7, False)
    assert (usage.cached_tokens, usage.reasoning_tokens) == ((3, 2) if endpoint.wire.counts_parts else (0, 0))
    assert [chunk.model for chunk in heard.chunks if chunk.model] == [ANSWERED_BY]
    assert finishes(heard) == ["stop"] if endpoint.wire.finish_reasons["stop"] == "stop" else finishes(heard)
    assert finish_of(finishes(heard)[-1]) == "stop"
    assert heard.requests == 1


async def test_each_byte_in_a_read_of_its_own(endpoint: Endpoint) -> None:
    script = Script(split=True, reasoning=("größer ",), keep_alives=True)
    heard = await endpoint.ask(script)
    assert (heard.text, reasoning(heard)) == (script.text, "größer ")


async def test_every_split_of_the_stream_reads_the_same(endpoint: Endpoint) -> None:
    """Of the bytes themselves, in two parts, without a socket."""
    dialect = endpoint.client().dialect
    script = Script(pieces=("Grüße, ", "👋🏽"), reasoning=("denkt ",), keep_alives=True)
    body = b"".join(endpoint.wire.events(script)[1])
    for place in range(1, len(body)):
        reader = dialect.reader((), lambda _kind, _found: None)
        chunks = reader.feed(body[:place]) + reader.feed(body[place:]) + ([] if reader.done else reader.end())
        assert reader.failure is None
        assert "".join(chunk.text for chunk in chunks) == script.text
        assert "".join(chunk.reasoning for chunk in chunks) == "denkt "


async def test_keep_alives_are_no_part_of_the_answer(endpoint: Endpoint) -> None:
    script = Script(keep_alives=True)
    assert (await endpoint.ask(script)).text == script.text


@pytest.mark.parametrize("finish", ["length", "filtered"])
async def test_an_end_before_the_end(endpoint: Endpoint, finish: str) -> None:
    heard = await endpoint.ask(Script(finish=finish))
    assert heard.text == Script().text
    assert finish_of(finishes(heard)[-1]) == finish


async def test_an_answer_that_is_filtered_whole(endpoint: Endpoint) -> None:
    error = await endpoint.fail(Script(pieces=(), finish="filtered", written=0))
    assert (error.code, error.retryable) == ("upstream_refused", False)
    assert "content rules" in error.message


async def test_no_text_is_an_error(endpoint: Endpoint) -> None:
    error = await endpoint.fail(Script(pieces=(), written=0))
    assert error.code == "upstream_empty"


async def test_a_bare_call_of_a_tool_is_no_answer(endpoint: Endpoint) -> None:
    error = await endpoint.fail(Script(pieces=(), finish="tools"))
    assert error.code == "upstream_tool_call"


@pytest.mark.parametrize(
    ("refuse", "code", "retryable"),
    [
        ("bad_key", "upstream_unauthorized", False),
        ("unknown_model", "model_not_found", False),
        ("too_long", "context_too_long", False),
        ("rate_limit", "upstream_rate_limited", True),
    ],
)
async def test_refusals(endpoint: Endpoint, refuse: str, code: str, retryable: bool) -> None:
    error = await endpoint.fail(Script(refuse=refuse))
    assert (error.code, error.retryable) == (code, retryable)
    assert error.reason.startswith("HTTP 4")
    assert error.request_id == "req-77"
    assert error.said
    if refuse == "rate_limit":  # it asks for a longer wait than a request waits by itself
        assert error.retry_after == 70
        assert "2 minutes" in error.message or "70 seconds" in error.message
    assert len(endpoint.server.chats) == 1


async def test_an_overload_is_tried_again(endpoint: Endpoint) -> None:
    endpoint.server.play(Script(refuse="overload"))
    heard = await endpoint.ask(Script())
    assert heard.text == Script().text
    assert heard.requests == 2


async def test_a_wrong_key(endpoint: Endpoint) -> None:
    if endpoint.wire.kind == "ollama":
        pytest.skip("Ollama itself knows no keys")
    error = await endpoint.fail(Script(), chat=endpoint.client("sk-another"))
    assert error.code == "upstream_unauthorized"


async def test_a_cut_connection_keeps_the_beginning(endpoint: Endpoint) -> None:
    heard = Heard()
    error = await endpoint.fail(Script(cut=2), heard)
    assert (error.code, error.retryable) == ("upstream_cut", False)
    assert heard.text == "".join(Script().pieces[:2])


async def test_an_error_in_the_stream_keeps_the_beginning(endpoint: Endpoint) -> None:
    heard = Heard()
    error = await endpoint.fail(Script(fail=2), heard)
    assert (error.code, error.retryable) == ("upstream_error", False)
    assert heard.text == "".join(Script().pieces[:2])


async def test_silence_ends_the_answer(endpoint: Endpoint) -> None:
    heard = Heard()
    error = await endpoint.fail(Script(hang=2), heard, chat=endpoint.client(timeouts=replace(TIMEOUTS, idle=0.5)))
    assert error.code == "upstream_timeout"
    assert heard.text == "".join(Script().pieces[:2])
    assert await asyncio.to_thread(endpoint.server.wait_gone)


async def test_stop_closes_the_connection(endpoint: Endpoint) -> None:
    endpoint.server.play(Script(hang=2))
    heard = Heard()
    async with endpoint.client().stream(MODEL, TURNS) as answer:
        async for chunks in answer:
            heard.lists.append(chunks)
            if heard.text:
                break
    assert await asyncio.to_thread(endpoint.server.wait_gone), "the server still writes"


async def test_what_is_sent(endpoint: Endpoint) -> None:
    """The server checks each request against its protocol. Turns that follow each other are of different roles."""
    turns = [
        ChatTurn("system", SYSTEM), ChatTurn("assistant", "Hello!"), ChatTurn("user", "One."), ChatTurn("user", "Two."),
        ChatTurn("assistant", "Fine. "), ChatTurn("user", "Three."),
    ]  # fmt: skip
    heard = await endpoint.ask(Script(), turns=turns, options=Options(temperature=1.5, max_tokens=4000))
    assert heard.text == Script().text
    said = str(endpoint.server.chats[0].body)
    assert all(word in said for word in (SYSTEM, "Hello!", "One.", "Two.", "Fine.", "Three.", "4000"))


async def test_a_model_that_does_not_stream_is_asked_for_the_whole(endpoint: Endpoint) -> None:
    endpoint.server.script = Script(refuse="no_stream", reasoning=("think ",))
    chat = endpoint.client()
    for _ in range(2):
        heard = await endpoint.ask(chat=chat)
        assert (heard.text, reasoning(heard)) == (Script().text, "think ")
        assert heard.usage.output_tokens == 7
        assert finish_of(finishes(heard)[-1]) == "stop"
    assert len(endpoint.server.chats) == 3, "it is remembered"


async def test_an_option_that_is_refused_is_left_out(endpoint: Endpoint) -> None:
    endpoint.server.play(Script(refuse="temperature"))
    chat = endpoint.client()
    for _ in range(2):
        heard = await endpoint.ask(Script(), chat=chat, options=Options(temperature=0.3))
        assert heard.text == Script().text
    said = ["temperature" in str(one.body) for one in endpoint.server.chats]
    assert said == [True, False, False]


async def test_what_staff_add_goes_with_every_request(endpoint: Endpoint) -> None:
    extras = Extras({"X-Title": "Antiphon"}, {"trace": "on"}, {"temperature": 0.9, "stream": False, "model": "other"})
    own = Extras({"X-Title": "Ours"}, {"extra": "2"}, {})
    if endpoint.wire.kind in ("gemini", "ollama"):
        field = {"gemini": "generationConfig", "ollama": "options"}[endpoint.wire.kind]
        extras = replace(extras, body={field: {"temperature": 0.9}})
    chat = endpoint.client(extras=extras, model_extras=((MODEL, own),))
    assert (await endpoint.ask(Script(), chat=chat, options=Options(max_tokens=4000))).text == Script().text
    sent = endpoint.server.chats[0]
    assert sent.headers["x-title"] == "Ours"
    assert (sent.query["trace"], sent.query["extra"]) == ("on", "2")
    assert "0.9" in str(sent.body)
    assert "4000" in str(sent.body)


@pytest.mark.parametrize("server", [AnthropicWire()], indirect=True)
async def test_staff_may_choose_another_version_of_the_api(endpoint: Endpoint) -> None:
    await endpoint.ask(Script(), chat=endpoint.client(extras=Extras({"Anthropic-Version": "2026-10-21"})))
    assert endpoint.server.chats[0].headers["anthropic-version"] == "2026-10-21"


async def test_the_list_of_models(endpoint: Endpoint) -> None:
    listed = {model.id: model for model in await endpoint.client().list_models()}
    assert MODEL in listed
    if endpoint.wire.kind in ("anthropic", "gemini", "ollama"):
        assert listed[MODEL].thinks
        assert listed[MODEL].window == (16_384 if endpoint.wire.kind == "ollama" else 200_000)
        assert not listed[MODEL].hidden
    if endpoint.wire.kind in ("anthropic", "gemini"):
        assert "fake-small" in listed, "all pages are read"
    if endpoint.wire.kind in ("gemini", "ollama"):
        assert listed["fake-vectors"].hidden
    if endpoint.wire.kind == "azure":
        assert "deployments" in listed[MODEL].hidden
    assert not endpoint.server.problems


async def test_connections_are_kept(endpoint: Endpoint) -> None:
    chat = endpoint.client()
    for _ in range(3):
        await endpoint.ask(Script(), chat=chat)
        await asyncio.gather(*chat.transport._closing)
    assert len(chat.transport._http._transport.client.connector._conns) == 1  # type: ignore[attr-defined]  # no public way
    assert connections_in_use(chat) == 0


async def test_a_missing_usage_is_estimated(endpoint: Endpoint) -> None:
    heard = await endpoint.ask(Script(read=0, written=0, cached=0))
    assert heard.usage.estimated
    assert heard.usage.output_tokens == estimate_tokens(heard.text)
