"""Tools in every dialect: offered, called, answered, refused; each against a server that speaks its protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import pytest

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.endpoint import TURNS, Endpoint
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.ollama import OllamaWire
from tests.fakes.dialects.openai import ChatWire, ResponsesWire
from tests.fakes.dialects.script import MODEL, QUESTION, SYSTEM, Call, Script
from tests.fakes.dialects.wire import Wire
from tests.fakes.listening import Heard
from workers.providers.base import ChatTurn, Options, Replay, RequestedCall, ToolImage, ToolSpec
from workers.providers.http.calls import is_made
from workers.providers.http.tool_turns import INVALID, NO_MORE_CALLS, NO_OUTPUT, NO_RESULT

CLOCK = ToolSpec(
    "current_time",
    "Tells the time.",
    {
        "$ref": "#/$defs/Clock",
        "$defs": {
            "Clock": {
                "title": "Clock", "type": "object", "required": ["zone"],
                "properties": {
                    "zone": {"type": "string"}, "when": {"anyOf": [{"$ref": "#/$defs/When"}, {"type": "null"}]},
                },
            },
            "When": {"type": "string", "enum": ["now", "then"]},
        },
    },
)  # fmt: skip
OTHER = ToolSpec("files/search v2", "Searches.", {})
WIRES: tuple[Wire, ...] = (ChatWire(), ResponsesWire(), AnthropicWire(), GeminiWire(), OllamaWire())
OFFERED = Options(tools=(CLOCK, OTHER))
pytestmark = pytest.mark.parametrize("server", WIRES, ids=lambda wire: wire.kind, indirect=True)
BERLIN = Call()
TOKYO = Call(arguments='{"zone": "Asia/Tokyo"}', id="call_2")
BOTH = [("current_time", {"zone": "Europe/Berlin"}), ("current_time", {"zone": "Asia/Tokyo"})]
PNG = ToolImage("image/png", b"\x89PNG")


def calls_of(heard: Heard) -> tuple[RequestedCall, ...]:
    """The calls, which come once, with the finish reason of every answer with calls."""
    [chunk] = [chunk for chunk in heard.chunks if chunk.calls]
    assert [one.finish_reason for one in heard.chunks if one.finish_reason][-1] == "tool_calls"
    assert heard.usage.input_tokens
    return chunk.calls


def replay_of(heard: Heard) -> Replay | None:
    return next((chunk.replay for chunk in heard.chunks if chunk.replay), None)


def said(calls: tuple[RequestedCall, ...]) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in calls]


def results(calls: tuple[RequestedCall, ...], text: str = "12:00", **more: Any) -> list[ChatTurn]:
    return [ChatTurn("tool", text, call_id=call.id, name=call.name, **more) for call in calls]


def asked(endpoint: Endpoint, place: int = -1) -> Any:
    """What a request says, without what is the same in every request."""
    body = endpoint.server.chats[place].body
    field = {"gemini": "contents", "openai_responses": "input"}.get(endpoint.wire.kind, "messages")
    return [one for one in body[field] if one.get("role") != "system"]


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


async def test_results_go_back(endpoint: Endpoint) -> None:
    """The exact request, with reasoning that goes back to the model that wrote it."""
    script = Script(pieces=("Let me look.",), calls=(BERLIN, TOKYO), reasoning=("think ", "more"))
    chat = endpoint.client()
    heard = await endpoint.ask(script, chat=chat, options=OFFERED)
    calls = calls_of(heard)
    answer = ChatTurn("assistant", heard.text, calls=calls, replay=replay_of(heard))
    turns = [*TURNS, answer, *results(calls), ChatTurn("user", "And?")]
    turns[3] = replace(turns[3], content="It broke.", failed=True)
    assert (await endpoint.ask(Script(), chat=chat, turns=turns, options=OFFERED)).text == Script().text
    ids = [call.id for call in calls]
    zones = [{"zone": "Europe/Berlin"}, {"zone": "Asia/Tokyo"}]
    assert asked(endpoint) == expected(endpoint.wire.kind, ids, zones)


def expected(kind: str, ids: list[str], zones: list[dict[str, str]]) -> Any:
    name = "current_time"
    match kind:
        case "anthropic":
            uses = [{"type": "tool_use", "id": one, "name": name, "input": zones[at]} for at, one in enumerate(ids)]
            return [
                {"role": "user", "content": QUESTION},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "think more", "signature": "EqQB"},
                    {"type": "redacted_thinking", "data": "EmwK"},
                    {"type": "text", "text": "Let me look."}, *uses,
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": ids[0], "content": "It broke.", "is_error": True},
                    {"type": "tool_result", "tool_use_id": ids[1], "content": "12:00"},
                    {"type": "text", "text": "And?"},
                ]},
            ]  # fmt: skip
        case "gemini":
            return [
                {"role": "user", "parts": [{"text": QUESTION}]},
                {"role": "model", "parts": [
                    {"text": "Let me look.", "thoughtSignature": "EjQK"},
                    {"functionCall": {"name": name, "args": zones[0]}, "thoughtSignature": "EjQL"},
                    {"functionCall": {"name": name, "args": zones[1]}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": name, "response": {"error": "It broke."}}},
                    {"functionResponse": {"name": name, "response": {"result": "12:00"}}},
                    {"text": "And?"},
                ]},
            ]  # fmt: skip
        case "openai_responses":
            summary = [{"type": "summary_text", "text": "think more"}]
            return [
                {"type": "message", "role": "user", "content": QUESTION},
                {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAAAB"},
                {"type": "message", "role": "assistant", "content": "Let me look."},
                *({"type": "function_call", "call_id": one, "name": name, "arguments": json.dumps(zones[at])}
                  for at, one in enumerate(ids)),
                {"type": "function_call_output", "call_id": ids[0], "output": "Error: It broke."},
                {"type": "function_call_output", "call_id": ids[1], "output": "12:00"},
                {"type": "message", "role": "user", "content": "And?"},
            ]  # fmt: skip
        case "ollama":
            return [
                {"role": "user", "content": QUESTION},
                {"role": "assistant", "content": "Let me look.", "thinking": "think more",
                 "tool_calls": [{"function": {"name": name, "arguments": zone}} for zone in zones]},
                {"role": "tool", "tool_name": name, "content": "Error: It broke."},
                {"role": "tool", "tool_name": name, "content": "12:00"},
                {"role": "user", "content": "And?"},
            ]  # fmt: skip
    calls = [
        {"id": one, "type": "function", "function": {"name": name, "arguments": json.dumps(zones[at])}}
        for at, one in enumerate(ids)
    ]
    return [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "Let me look.", "reasoning_content": "think more", "tool_calls": calls},
        {"role": "tool", "tool_call_id": ids[0], "content": "Error: It broke."},
        {"role": "tool", "tool_call_id": ids[1], "content": "12:00"},
        {"role": "user", "content": "And?"},
    ]


async def test_reasoning_goes_back_only_to_where_it_came_from(endpoint: Endpoint) -> None:
    heard = await endpoint.ask(Script(pieces=(), calls=(BERLIN,), reasoning=("think",)), options=OFFERED)
    calls, replay = calls_of(heard), replay_of(heard)
    assert replay is not None
    assert (replay.dialect, replay.model) == (endpoint.wire.kind, MODEL)
    for other in (Replay("another", MODEL, replay.parts), Replay(replay.dialect, "another", replay.parts)):
        turns = [*TURNS, ChatTurn("assistant", "", calls=calls, replay=other), *results(calls)]
        await endpoint.ask(Script(), turns=turns, options=OFFERED)
        assert not any(word in str(asked(endpoint)) for word in ("think", "EjQL", "gAAAAB"))


async def test_arguments_that_are_no_object_are_sent_all_the_same(endpoint: Endpoint) -> None:
    """As text in an object, or as an empty one."""
    texts = ['{"zone": ', "7", "{'zone': 1}", "", '{"n": 1e999}', '{"n": 99999999999999999999}']
    calls = tuple(RequestedCall(f"call_{place}", "current_time", text) for place, text in enumerate(texts))
    turns = [*TURNS, ChatTurn("assistant", "", calls=calls), *results(calls, "No.", failed=True)]
    assert (await endpoint.ask(Script(), turns=turns, options=OFFERED)).text == Script().text
    sent = arguments_in(asked(endpoint))
    assert sent[:4] == [{INVALID: texts[0]}, {INVALID: texts[1]}, {INVALID: texts[2]}, {}]
    assert all(isinstance(one, dict) for one in sent)


def arguments_in(messages: list[dict[str, Any]]) -> list[Any]:
    """The arguments of all calls in a request, as objects."""
    found: list[Any] = []
    for one in messages:
        content = one.get("content")
        blocks: list[dict[str, Any]] = content if isinstance(content, list) else one.get("parts") or []
        found += [block["input"] for block in blocks if "input" in block]
        found += [block["functionCall"]["args"] for block in blocks if "functionCall" in block]
        found += [call["function"]["arguments"] for call in one.get("tool_calls", ())]
        found += [one["arguments"]] if one.get("type") == "function_call" else []
    return [json.loads(value) if isinstance(value, str) else value for value in found]


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


async def test_no_more_calls(endpoint: Endpoint) -> None:
    call = RequestedCall("call_1", "current_time", "{}")
    turns = [*TURNS, ChatTurn("assistant", "", calls=(call,)), *results((call,))]
    await endpoint.ask(Script(), turns=turns, options=replace(OFFERED, call_no_more=True))
    body = endpoint.server.chats[0].body
    assert "tools" in body, "the turns that called them need them"
    match endpoint.wire.kind:
        case "anthropic":
            assert body["tool_choice"] == {"type": "none"}
        case "gemini":
            assert body["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}
        case "ollama":
            assert body["messages"][0] == {"role": "system", "content": f"{SYSTEM}\n\n{NO_MORE_CALLS}"}
            await endpoint.ask(Script(), options=replace(OFFERED, call_no_more=True))
            assert "tools" not in endpoint.server.chats[1].body
        case _:
            assert body["tool_choice"] == "none"


async def test_results_and_calls_without_each_other(endpoint: Endpoint) -> None:
    """Older turns may have been left out, and a call may have ended without a result."""
    call = RequestedCall("call_7", "current_time", "{}")
    turns = [
        ChatTurn("tool", "11:00", call_id="call_0", name="current_time"),
        *TURNS, ChatTurn("assistant", "", calls=(call,)), ChatTurn("user", "And?"),
    ]  # fmt: skip
    assert (await endpoint.ask(Script(), turns=turns, options=OFFERED)).text == Script().text
    said = json.dumps(asked(endpoint))
    assert "[The tool current_time was called and returned:]" in said
    assert NO_RESULT in said


async def test_results_that_say_nothing_and_results_with_images(endpoint: Endpoint) -> None:
    calls = (RequestedCall("call_1", "current_time", "{}"), RequestedCall("call_2", "current_time", "{}"))
    shown = ChatTurn(
        "tool", "A map.", call_id="call_2", name="current_time", images=(PNG, ToolImage("image/tiff", b"II"))
    )
    turns = [*TURNS, ChatTurn("assistant", "", calls=calls), *results(calls[:1], ""), shown]
    await endpoint.ask(Script(), turns=turns, options=OFFERED)
    said = json.dumps(asked(endpoint))
    assert NO_OUTPUT in said
    assert "which this model cannot be shown" in said, "of the one that no API takes"
    data = "iVBORw=="
    match endpoint.wire.kind:
        case "anthropic":
            source = {"type": "base64", "media_type": "image/png", "data": data}
            assert asked(endpoint)[-1]["content"][1]["content"][1] == {"type": "image", "source": source}
        case "gemini":
            assert asked(endpoint)[-1]["parts"][2] == {"inlineData": {"mimeType": "image/png", "data": data}}
        case "openai_responses":
            image = {"type": "input_image", "image_url": f"data:image/png;base64,{data}"}
            assert asked(endpoint)[-1]["output"][1] == image
        case "ollama":
            assert asked(endpoint)[-1]["images"] == [data]
        case _:
            shown: dict[str, Any] = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
            assert asked(endpoint)[-1] == {"role": "user", "content": [ANY, shown]}


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
