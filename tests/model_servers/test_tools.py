"""Calls of tools with real servers, asked by the provider itself: offered, called, and answered with the result.

fakellm calls a tool when a message says so. llama.cpp's random model never does, but its server and its chat template
with tools have to take tools, calls and results in all of its three APIs.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from typing import Any, Final, cast

import pytest

from tests.fakes.listening import Heard
from tests.model_servers import running
from tests.model_servers.running import ModelServer
from workers.providers.base import ChatModel, ChatTurn, Options, RequestedCall, ToolSpec
from workers.providers.config import ClientKind, Definition, Timeouts
from workers.providers.http.client import HttpChat
from workers.providers.kinds import make_http_client

pytestmark = [pytest.mark.timeout(600)]

TIMEOUTS: Final = Timeouts(connect=10.0, first_chunk=120.0, idle=120.0, total=300.0)
SCHEMA: Final[dict[str, Any]] = {
    "type": "object", "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}}, "required": ["zone"],
}  # fmt: skip
REFUSED: Final = ("tools", "tool_choice", "tool_stream", "call_ids", "stream", "system")
OFFERED: Final = Options(tools=(ToolSpec("something", "Does something.", SCHEMA),), max_tokens=200)


def client(url: str, kind: str) -> HttpChat:
    definition = Definition(
        id="one", name="One", kind=cast("ClientKind", kind), base_url=url, api_key="sk-any-key-will-do",
        timeouts=TIMEOUTS,
    )  # fmt: skip
    chat = make_http_client(definition)
    assert isinstance(chat, HttpChat)
    return chat


async def listen(chat: ChatModel, model: str, turns: list[ChatTurn], options: Options = OFFERED) -> Heard:
    heard = Heard()
    async with chat.stream(model, turns, options=options, on_request=heard.note_request) as answer:
        async for chunks in answer:
            heard.lists.append(chunks)
    return heard


async def round_trip(asking: ChatModel, answering: ChatModel, model: str) -> tuple[list[Any], Heard]:
    """The arguments of the calls, and the answer to their results."""
    asked = ChatTurn("user", "call something")
    try:
        heard = await listen(asking, model, [asked])
        [last] = [chunk for chunk in heard.chunks if chunk.calls]
        assert [chunk.finish_reason for chunk in heard.chunks if chunk.finish_reason][-1] == "tool_calls"
        assert heard.requests == 1, "nothing was refused"
        assert {call.name for call in last.calls} == {"something"}
        called = ChatTurn("assistant", heard.text, calls=last.calls, replay=last.replay)
        results = [ChatTurn("tool", "It is done.", call_id=call.id, name=call.name) for call in last.calls]
        turns = [asked, called, *results, ChatTurn("user", "hello")]
        reply = await listen(answering, model, turns)
        assert reply.requests == 1
        assert reply.text
        return [json.loads(call.arguments) for call in last.calls], reply
    finally:
        await asking.close()
        await answering.close()


@pytest.fixture(scope="module")
def llama() -> Generator[ModelServer]:
    with running.llama_cpp(tools=True) as server:
        yield server


@pytest.fixture(scope="module")
def mock() -> Generator[ModelServer]:
    with running.fakellm() as server:
        yield server


@pytest.mark.parametrize(("kind", "path"), [("openai_chat", "/v1"), ("openai_responses", "/v1"), ("anthropic", "")])
async def test_llama_cpp(llama: ModelServer, kind: str, path: str) -> None:
    model = str(json.loads(llama.read("/v1/models"))["data"][0]["id"])
    chat = client(llama.url + path, kind)
    call = RequestedCall("call_1", "something", '{"zone": "UTC"}')
    broken = RequestedCall("call_2", "something", '{"zone": ')
    turns = [
        ChatTurn("system", "Be brief."), ChatTurn("user", "call something"),
        ChatTurn("assistant", "", calls=(call, broken)),
        ChatTurn("tool", "It is done.", call_id="call_1", name="something"),
        ChatTurn("tool", "No JSON.", call_id="call_2", name="something", failed=True),
    ]  # fmt: skip
    try:
        for options in (OFFERED, replace(OFFERED, call_no_more=True)):
            heard = await listen(chat, model, turns, options)
            assert heard.text
            assert not [what for what in REFUSED if chat.learned.refuses(model, what)]
            assert not heard.usage.estimated
        plain = await listen(chat, model, turns[:2], Options(max_tokens=20))
        assert heard.usage.input_tokens > plain.usage.input_tokens + 200, "its template has read the tools"
    finally:
        await chat.close()


@pytest.mark.parametrize(
    ("kind", "path", "model"), [("openai_chat", "/v1", "gpt-4o-mini"), ("anthropic", "", "claude-of-a-mock")]
)
async def test_fakellm(mock: ModelServer, kind: str, path: str, model: str) -> None:
    arguments, _ = await round_trip(client(mock.url + path, kind), client(mock.url + path, kind), model)
    assert arguments == [{}]
