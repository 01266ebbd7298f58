"""The demo model says what it is, helps to connect a real one, and keeps its pace."""

from __future__ import annotations

import asyncio
import contextlib
import time

from workers.providers.base import ChatTurn, Chunk, Options, RequestedCall, ToolSpec
from workers.providers.demo import DEMO_MODEL, DemoModel


async def listen(question: str, *, pace: float = 5000) -> list[Chunk]:
    model = DemoModel(pace)
    await model.open()
    async with model.stream(DEMO_MODEL, [ChatTurn("system", "x"), ChatTurn("user", question)]) as answer:
        chunks = [chunk async for chunks in answer for chunk in chunks]
    await model.close()
    return chunks


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_what_it_says() -> None:
    chunks = await listen("What is a log?")
    text = text_of(chunks)
    assert text.startswith("**This is the built-in demo model.**")
    assert "> What is a log?" in text
    for wanted in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "Ollama", "```sh\n", "|---|---|\n", "\n1. "):
        assert wanted in text
    assert chunks[-1].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.estimated
    assert usage.output_tokens > 100


async def test_the_question_is_quoted_and_not_obeyed() -> None:
    text = text_of(await listen("# <b>Big</b>\n\n| `x` |\n[a](javascript:1) {question}"))
    assert r"> \# \<b\>Big\</b\> \| \`x\` \| \[a\]\(javascript:1\) \{question\}" in text


async def test_a_long_question_is_cut() -> None:
    assert max(map(len, text_of(await listen("word " * 1000)).splitlines())) < 300


async def test_the_pace_and_the_first_words() -> None:
    model = DemoModel(40)
    started = time.monotonic()
    arrived = []
    async with model.stream(DEMO_MODEL, [ChatTurn("user", "Hi")]) as answer:
        async for chunks in answer:
            arrived.append((time.monotonic() - started, text_of(chunks)))
            if arrived[-1][0] > 1.2:
                break
    assert 0.2 <= arrived[0][0] < 0.6
    # About 40 a second since the first, however late the loop wakes: what is due then comes at once.
    said = len("".join(text for _, text in arrived))
    assert 0.5 * 40 * 5 < said < 1.5 * 40 * 9


async def test_it_can_be_stopped() -> None:
    model = DemoModel(20)
    came = asyncio.Event()

    async def speak() -> None:
        async with model.stream(DEMO_MODEL, [ChatTurn("user", "Hi")]) as answer:
            async for _ in answer:
                came.set()

    task = asyncio.create_task(speak())
    await came.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    assert task.cancelled()


async def test_the_request_is_noted() -> None:
    noted: list[tuple[str, str]] = []
    async with DemoModel(5000).stream(
        DEMO_MODEL, [ChatTurn("user", "Hi")], on_request=lambda *asked: noted.append(asked)
    ) as answer:
        async for _ in answer:
            break
    assert noted == [("demo", "demo")]


CLOCK = Options(tools=(ToolSpec("current_time", "", {}), ToolSpec("search", "", {})))


async def answer(turns: list[ChatTurn], options: Options) -> list[Chunk]:
    async with DemoModel(5000).stream(DEMO_MODEL, turns, options=options) as chunks:
        return [chunk async for found in chunks for chunk in found]


async def test_tools_can_be_tried() -> None:
    asked = ChatTurn("user", 'Now [[call=current_time {"zone": "a]]b"} call=rm {} call=search]] please')
    [chunk] = await answer([asked], CLOCK)
    assert chunk.finish_reason == "tool_calls"
    assert [(call.name, call.arguments) for call in chunk.calls] == [
        ("current_time", '{"zone": "a]]b"}'), ("search", "{}"),
    ]  # fmt: skip
    assert chunk.usage is not None
    assert chunk.usage.output_tokens
    called = ChatTurn("assistant", "", calls=chunk.calls)
    results = [ChatTurn("tool", "```\n12:00", call_id=chunk.calls[0].id, name="current_time")]
    results.append(ChatTurn("tool", "No.", call_id=chunk.calls[1].id, name="search", failed=True))
    text = text_of(await answer([asked, called, *results], CLOCK))
    assert "`current_time` returned:\n\n````\n```\n12:00\n````" in text
    assert "`search` failed:" in text


async def test_no_tools_are_called_that_are_not_offered() -> None:
    asked = ChatTurn("user", "Now [[call=current_time {}]]")
    for options in (Options(), Options(tools=CLOCK.tools, call_no_more=True)):
        assert not any(chunk.calls for chunk in await answer([asked], options))
    broken = ChatTurn("user", "Now [[call=current_time {oops}]]")
    assert not any(chunk.calls for chunk in await answer([broken], CLOCK))
    spoken = [asked, ChatTurn("assistant", "", calls=(RequestedCall("a", "current_time", "{}"),))]
    spoken += [ChatTurn("tool", "12:00", call_id="a", name="current_time"), ChatTurn("user", "Thanks.")]
    assert not any(chunk.calls for chunk in await answer(spoken, CLOCK))
