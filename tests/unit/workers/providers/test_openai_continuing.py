"""How an endpoint is asked to go on with an answer that was cut."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.base import ChatTurn, Continuation, Options
from workers.providers.config import Timeouts
from workers.providers.http.client import HttpChat
from workers.providers.http.continuing import INSTRUCTION, choose_style, continue_turns, mark_unfinished
from workers.providers.http.learned import PREFILL_REFUSED
from workers.providers.openai.client import OpenAIChat

TURNS = [ChatTurn("system", "s"), ChatTurn("user", "q"), ChatTurn("assistant", "The quick \n")]


def test_by_an_instruction_that_is_no_message_of_the_conversation() -> None:
    turns = continue_turns(TURNS, "instruct")
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert turns[-1].content == INSTRUCTION
    assert turns[-2].content == "The quick \n"


@pytest.mark.parametrize(
    ("style", "fields", "prefix"),
    [
        ("assistant", {}, None),
        ("prefix", {}, True),
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}, None),
    ],
)
def test_in_the_answer_itself(style: str, fields: dict[str, bool], prefix: bool | None) -> None:
    turns = continue_turns(TURNS, style)
    assert turns[-1] == ChatTurn("assistant", "The quick"), "a blank at the end is refused"
    body: dict[str, Any] = {"messages": [{"role": turn.role, "content": turn.content} for turn in turns]}
    mark_unfinished(body, style)
    last = body.pop("messages")[-1]
    assert (body, last.get("prefix")) == (fields, prefix)


def test_the_way_is_chosen_by_staff_or_by_the_address() -> None:
    assert choose_style("", "https://api.mistral.ai/v1") == "prefix"
    assert choose_style("", "https://api.openai.com/v1") == "instruct"
    assert choose_style("vllm", "https://api.mistral.ai/v1") == "vllm"


async def read(chat: OpenAIChat, continuation: Continuation) -> str:
    options = Options(continuation=continuation)
    text = []
    async with chat.stream("small", TURNS, options=options) as batches:
        async for chunks in batches:
            text += [chunk.text for chunk in chunks]
    return "".join(text)


async def test_a_model_that_refuses_prefill_is_asked_by_instruction_from_then_on() -> None:
    with FakeOpenAI() as server:
        said = "This model does not support assistant message prefill. The conversation must end with a user message."
        server.play(Script(status=400, said=said))
        server.play(Script(text="brown fox"), times=2)
        timeouts = Timeouts(connect=30, first_chunk=30, idle=30, total=60)
        chat = OpenAIChat(server.url, "", timeouts=timeouts, prefill="assistant")
        try:
            continuation = Continuation()
            assert await read(chat, continuation) == "brown fox"
            assert not continuation.exact
            await read(chat, Continuation())
        finally:
            await chat.close()
        last = [request.body["messages"][-1]["role"] for request in server.chats]
        assert last == ["assistant", "user", "user"]


@pytest.mark.parametrize(
    "said",
    [
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        "When `thinking` is enabled, a final `assistant` message must start with a thinking block.",
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
        "Unrecognized request argument supplied: continue_final_message",
    ],
)
def test_refusals_of_an_unfinished_answer_are_known(said: str) -> None:
    assert PREFILL_REFUSED.search(said.lower())


def test_anthropic_s_api_writes_on_by_itself() -> None:
    chat = HttpChat(AnthropicDialect(), "", "key", timeouts=Timeouts(30, 30, 30, 60))
    assert chat.prefill == "assistant"
