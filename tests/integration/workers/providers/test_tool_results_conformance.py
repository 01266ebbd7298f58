"""Results of tools go back to every kind of model server as its API wants them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import pytest

from tests.fakes.dialects.endpoint import TURNS, Endpoint
from tests.fakes.dialects.script import MODEL, QUESTION, SYSTEM, Script
from tests.integration.workers.providers.tool_conformance import (
    BERLIN,
    OFFERED,
    PNG,
    TOKYO,
    WIRES,
    asked,
    calls_of,
    replay_of,
    results,
)
from workers.providers.base import ChatTurn, Replay, RequestedCall, ToolImage
from workers.providers.http.tool_turns import INVALID, NO_MORE_CALLS, NO_OUTPUT, NO_RESULT

pytestmark = pytest.mark.parametrize("server", WIRES, ids=lambda wire: wire.kind, indirect=True)


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
            part: dict[str, Any] = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
            assert asked(endpoint)[-1] == {"role": "user", "content": [ANY, part]}
