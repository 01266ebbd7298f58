"""Tools in every dialect: offered, called, answered, refused; each against a server that speaks its protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.dialects.endpoint import TURNS, Endpoint
from tests.fakes.dialects.script import MODEL, QUESTION, Call, Script
from tests.fakes.listening import Heard
from tests.integration.workers.providers.tool_conformance import (
    BERLIN,
    BOTH,
    CLOCK,
    OFFERED,
    TOKYO,
    WIRES,
    asked,
    calls_of,
    replay_of,
    results,
    said,
)
from workers.providers.base import ChatTurn, Options, RequestedCall
from workers.providers.http.calls import is_made

pytestmark = pytest.mark.parametrize("server", WIRES, ids=lambda wire: wire.kind, indirect=True)


async def test_a_call(endpoint: Endpoint) -> None:
    heard = await endpoint.ask(Script(pieces=(), calls=(BERLIN,)), options=OFFERED)
    calls = calls_of(heard)
    assert said(calls) == [("current_time", {"zone": "Europe/Berlin"})]
    assert not heard.text
    assert heard.requests == 1
    assert is_made(calls[0].id) if endpoint.wire.kind in ("gemini", "ollama") else calls[0].id == "call_1"


async def test_the_tools_in_the_request(endpoint: Endpoint) -> None:
    await endpoint.ask(Script(), options=OFFERED)
    sent = endpoint.server.chats[0].body["tools"]
    when = {"anyOf": [{"type": "string", "enum": ["now", "then"]}, {"type": "null"}]}
    clock: dict[str, Any] = {
        "title": "Clock", "type": "object", "required": ["zone"],
        "properties": {"zone": {"type": "string"}, "when": when},
    }  # fmt: skip
    name = "files_search_v2_" + sent_mark(sent)
    empty = {"type": "object", "properties": {}}
    match endpoint.wire.kind:
        case "anthropic":
            assert sent == [
                {"name": "current_time", "description": "Tells the time.", "input_schema": clock},
                {"name": name, "description": "Searches.", "input_schema": empty},
            ]
        case "gemini":
            clock["properties"]["when"] = {"type": "string", "enum": ["now", "then"], "nullable": True}
            assert sent == [
                {
                    "functionDeclarations": [
                        {"name": "current_time", "description": "Tells the time.", "parameters": clock},
                        {"name": name, "description": "Searches."},
                    ]
                }
            ]
        case "openai_responses":
            assert sent == [
                {"type": "function", "name": "current_time", "description": "Tells the time.", "parameters": clock,
                 "strict": False},
                {"type": "function", "name": name, "description": "Searches.", "parameters": empty, "strict": False},
            ]  # fmt: skip
            assert endpoint.server.chats[0].body["include"] == ["reasoning.encrypted_content"]
        case _:
            first = {"name": "current_time", "description": "Tells the time.", "parameters": clock}
            second = {"name": name, "description": "Searches.", "parameters": empty}
            assert sent == [{"type": "function", "function": one} for one in (first, second)]
    assert "tool_choice" not in endpoint.server.chats[0].body


def sent_mark(sent: object) -> str:
    """The last letters of a name that had to be changed: they are always the same."""
    name = str(sent).split("files_search_v2_")[1][:8]
    assert len(name) == 8
    assert name.isalnum()
    return name


async def test_calls_at_once_and_text_before_them(endpoint: Endpoint) -> None:
    again = Call("files_search_v2_1c6d8e0f", "{}", "call_3")
    heard = await endpoint.ask(Script(pieces=("Let me ", "look."), calls=(BERLIN, TOKYO, again)), options=OFFERED)
    assert heard.text == "Let me look."
    calls = calls_of(heard)
    assert said(calls)[:2] == BOTH
    assert calls[2].name == again.name, "a tool that does not exist keeps its name"
    assert len({call.id for call in calls}) == 3


async def test_a_name_that_had_to_be_changed_comes_back_as_it_was(endpoint: Endpoint) -> None:
    chat = endpoint.client()
    await endpoint.ask(Script(), chat=chat, options=OFFERED)
    name = "files_search_v2_" + sent_mark(endpoint.server.chats[0].body["tools"])
    heard = await endpoint.ask(Script(pieces=(), calls=(Call(name, "{}"),)), chat=chat, options=OFFERED)
    calls = calls_of(heard)
    assert said(calls) == [("files/search v2", {})]
    turns = [*TURNS, ChatTurn("assistant", "", calls=calls), *results(calls)]
    await endpoint.ask(Script(), chat=chat, turns=turns, options=OFFERED)
    assert name in json.dumps(asked(endpoint))
    assert "files/search" not in json.dumps(asked(endpoint))


async def test_invalid_arguments_come_as_they_are(endpoint: Endpoint) -> None:
    if endpoint.wire.kind in ("gemini", "ollama"):
        pytest.skip("there arguments are an object")
    heard = await endpoint.ask(Script(pieces=(), calls=(Call(arguments='{"zone": Berlin'),)), options=OFFERED)
    assert calls_of(heard)[0].arguments == '{"zone": Berlin'


async def test_no_arguments(endpoint: Endpoint) -> None:
    heard = await endpoint.ask(Script(pieces=(), calls=(Call(arguments="{}"),)), options=OFFERED)
    assert calls_of(heard)[0].arguments == "{}"


async def test_a_call_that_is_cut_is_none(endpoint: Endpoint) -> None:
    """Also when the rest of the answer is whole."""
    heard = Heard()
    script = Script(pieces=("Let ", "me."), calls=(BERLIN, TOKYO), cut=2 + endpoint.wire.in_a_call)
    error = await endpoint.fail(script, heard, options=OFFERED)
    assert (error.code, error.retryable) == ("upstream_cut", False)
    assert heard.text == "Let me."
    assert not any(chunk.calls for chunk in heard.chunks)


async def test_a_cut_before_anything_was_said_is_tried_again(endpoint: Endpoint) -> None:
    endpoint.server.play(Script(pieces=(), calls=(BERLIN,), cut=endpoint.wire.in_a_call))
    heard = await endpoint.ask(Script(pieces=(), calls=(TOKYO,)), options=OFFERED)
    assert said(calls_of(heard)) == [("current_time", {"zone": "Asia/Tokyo"})]
    assert heard.requests == 2


async def test_the_greatest_length_in_a_call(endpoint: Endpoint) -> None:
    if endpoint.wire.kind in ("gemini", "ollama"):
        pytest.skip("there a call comes whole")
    heard = Heard()
    script = Script(pieces=("Wait.",), calls=(Call(arguments='{"zone": "Eur'),), finish="length")
    error = await endpoint.fail(script, heard, options=OFFERED)
    assert error.code == "upstream_cut"
    assert "greatest length" in error.message
    assert heard.text == "Wait."
    assert heard.usage.output_tokens == 7


async def test_a_filtered_answer_has_no_calls(endpoint: Endpoint) -> None:
    heard = await endpoint.ask(Script(calls=(BERLIN,), finish="filtered"), options=OFFERED)
    assert heard.text == Script().text
    assert not any(chunk.calls for chunk in heard.chunks)


async def test_tools_that_are_not_called(endpoint: Endpoint) -> None:
    heard = await endpoint.ask(Script(), options=OFFERED)
    assert heard.text == Script().text
    assert not any(chunk.calls or chunk.replay for chunk in heard.chunks)
    assert [one.finish_reason for one in heard.chunks if one.finish_reason] == [endpoint.wire.finish_reasons["stop"]]


async def test_a_model_without_tools_says_so_once(endpoint: Endpoint) -> None:
    """The next request is made without them, and calls before are told in words."""
    chat = endpoint.client()
    error = await endpoint.fail(Script(refuse="no_tools"), chat=chat, options=OFFERED)
    assert (error.code, error.retryable) == ("upstream_no_tools", False)
    assert "tool" in error.said.lower() or "function" in error.said.lower()
    assert chat.learned.refuses(MODEL, "tools")
    call = RequestedCall("call_1", "current_time", '{"zone": "UTC"}')
    turns = [*TURNS, ChatTurn("assistant", "Hm.", calls=(call,)), *results((call,)), ChatTurn("user", "And?")]
    assert (await endpoint.ask(Script(), chat=chat, turns=turns, options=OFFERED)).text == Script().text
    assert len(endpoint.server.chats) == 2
    assert "tools" not in endpoint.server.chats[1].body
    told = '[The tool current_time was called with {"zone": "UTC"} and returned:]\n12:00\n\nAnd?'
    texts = [one.get("content") or one["parts"][0]["text"] for one in asked(endpoint)]
    assert texts == [QUESTION, "Hm.", told]


async def test_calls_that_nobody_wants(endpoint: Endpoint) -> None:
    """Without tools in the request, and where the model was told to call none."""
    for options in (Options(), replace(OFFERED, call_no_more=True)):
        error = await endpoint.fail(Script(pieces=(), calls=(BERLIN,)), options=options)
        assert error.code == "upstream_tool_call"
        heard = await endpoint.ask(Script(calls=(BERLIN,)), options=options)
        assert heard.text == Script().text
        assert not any(chunk.calls for chunk in heard.chunks)


async def test_each_byte_of_a_call_in_a_read_of_its_own(endpoint: Endpoint) -> None:
    call = Call(arguments='{"zone": "Grüße 👋🏽"}')
    heard = await endpoint.ask(Script(calls=(call, TOKYO), split=True, reasoning=("größer",)), options=OFFERED)
    assert heard.text == Script().text
    assert said(calls_of(heard)) == [("current_time", {"zone": "Grüße 👋🏽"}), ("current_time", {"zone": "Asia/Tokyo"})]


async def test_a_server_that_does_not_stream(endpoint: Endpoint) -> None:
    thinking = ("think ", "more")
    endpoint.server.script = Script(refuse="no_stream", calls=(BERLIN, TOKYO), pieces=("Hm.",), reasoning=thinking)
    heard = await endpoint.ask(options=OFFERED)
    if endpoint.wire.kind != "gemini":  # there the signatures are what goes back
        replay = replay_of(heard)
        assert replay is not None
        assert "think more" in json.dumps(replay.parts)
    assert said(calls_of(heard)) == [
        ("current_time", {"zone": "Europe/Berlin"}),
        ("current_time", {"zone": "Asia/Tokyo"}),
    ]
    assert heard.text == "Hm."


async def test_every_split_of_the_stream_reads_the_same(endpoint: Endpoint) -> None:
    """Of the bytes themselves, in two parts, without a socket."""
    dialect = endpoint.client().dialect
    script = Script(pieces=("👋🏽",), calls=(BERLIN, TOKYO), reasoning=("denkt",))
    body = b"".join(endpoint.wire.events(script)[1])
    for place in range(1, len(body), 7):
        reader = dialect.reader((), lambda _kind, _found: None)
        reader.expect(dialect.kind, MODEL, {"current_time": CLOCK}, may_call=True)
        chunks = reader.feed(body[:place]) + reader.feed(body[place:]) + ([] if reader.done else reader.end())
        assert reader.failure is None
        assert reader.conclude(chunks) is None
        assert said(chunks[-1].calls) == BOTH
        assert chunks[-1].replay is not None


async def test_usage_that_is_missing_counts_tools_and_calls(endpoint: Endpoint) -> None:
    nothing = Script(pieces=(), calls=(BERLIN,), read=0, written=0, cached=0)
    heard = await endpoint.ask(nothing, options=OFFERED)
    assert heard.usage.estimated
    assert heard.usage.output_tokens > 5
    assert heard.usage.input_tokens > 60, "the schemas are part of the request"
