"""How an endpoint is asked to go on with an answer that was cut."""

from __future__ import annotations

import pytest

from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from workers.providers.base import ChatTurn, Continuation, Options
from workers.providers.config import Timeouts
from workers.providers.openai.client import OpenAIChat
from workers.providers.openai.continuing import INSTRUCTION, choose_style, continue_messages
from workers.providers.openai.verdict import shorten

TURNS = [ChatTurn("system", "s"), ChatTurn("user", "q"), ChatTurn("assistant", "The quick \n")]


def test_by_an_instruction_that_is_no_message_of_the_conversation() -> None:
    messages, fields, exact = continue_messages(TURNS, "instruct")
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[-1]["content"] == INSTRUCTION
    assert (messages[-2]["content"], fields, exact) == ("The quick \n", {}, False)


@pytest.mark.parametrize(
    ("style", "fields", "prefix"),
    [
        ("assistant", {}, None),
        ("prefix", {}, True),
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}, None),
    ],
)
def test_in_the_answer_itself(style: str, fields: dict[str, bool], prefix: bool | None) -> None:
    messages, further, exact = continue_messages(TURNS, style)
    assert messages[-1]["role"] == "assistant"
    assert messages[-1]["content"] == "The quick", "a blank at the end is refused"
    assert (further, messages[-1].get("prefix"), exact) == (fields, prefix, True)


def test_the_way_is_chosen_by_staff_or_by_the_address() -> None:
    assert choose_style("", "https://api.mistral.ai/v1") == "prefix"
    assert choose_style("", "https://api.openai.com/v1") == "instruct"
    assert choose_style("vllm", "https://api.mistral.ai/v1") == "vllm"


def test_a_shortened_request_keeps_the_question_of_the_answer() -> None:
    turns = [ChatTurn("user", "old"), ChatTurn("assistant", "old answer"), *TURNS[1:]]
    assert [turn.content for turn in shorten(turns)] == ["q", "The quick \n"]
    assert [turn.content for turn in shorten(TURNS[1:])] == ["q", "The quick \n"]


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
