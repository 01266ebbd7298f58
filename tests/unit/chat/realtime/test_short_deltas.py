"""The short form of deltas: what it looks like, when it is used, and when the whole one comes again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from chat.eventlog import events
from chat.protocol.commands import Position
from chat.realtime.short_deltas import ALIASES, TEXTS, ShortDeltas, split
from tests.client_view import View
from tests.unit.chat.realtime.test_delivery import CONVERSATION, RUNS, MemoryLog, Page


def message(index: int, text: str, run: str = RUNS[0]) -> dict[str, Any]:
    body, _ = events.run_delta(str(CONVERSATION), run, 1, index, text)
    return {"b": body}


async def shown(short: bool = True) -> tuple[MemoryLog, View, Page, list[Any]]:
    """A page that follows the log, and what its socket is sent."""
    log, view = MemoryLog(), View(epoch="e1")
    page, sent = Page(log, view, 10_000, short=short), []

    async def receive(one: dict[str, Any]) -> None:
        sent.append(json.loads(one["text"]))
        await Page.receive(page, one)

    page.socket._send = receive
    page.follow()
    await asyncio.sleep(0.01)
    sent.clear()
    return log, view, page, sent


def test_what_continues_a_text_is_its_alias_and_the_text() -> None:
    short, texts = ShortDeltas(), {}  # type: ignore[var-annotated]  # as a cursor has it
    first = json.loads(short.frame(texts, 7, message(0, "One \U0001f600")))
    assert (first["alias"], first["seq"], first["index"], first["text"]) == (0, 7, 0, "One \U0001f600")
    assert short.frame(texts, 8, message(5, ' "two"')) == '[0," \\"two\\""]'
    assert json.loads(short.frame(texts, 9, message(12, "gap")))["alias"] == 1, "text before it was not sent"


def test_each_text_has_an_alias_of_its_own() -> None:
    short, texts = ShortDeltas(), {}  # type: ignore[var-annotated]  # as above
    thought, _ = events.run_reasoning(str(CONVERSATION), RUNS[0], 1, 0, "Hm")
    assert [json.loads(short.frame(texts, 1, one))["alias"] for one in (message(0, "a"), message(0, "b", RUNS[1]))] == [
        0,
        1,
    ]
    assert json.loads(short.frame(texts, 3, {"b": thought}))["alias"] == 2
    more, _ = events.run_reasoning(str(CONVERSATION), RUNS[0], 1, 2, ", so")
    frames = [
        short.frame(texts, 4, message(1, "A")),
        short.frame(texts, 5, message(1, "B", RUNS[1])),
        short.frame(texts, 6, {"b": more}),
    ]
    assert frames == ['[0,"A"]', '[1,"B"]', '[2,", so"]']


def test_only_the_newest_aliases_are_used_and_few_are_kept() -> None:
    short, texts = ShortDeltas(), {}  # type: ignore[var-annotated]  # as above
    short.frame(texts, 1, message(0, "a"))
    others: dict[bytes, list[int]] = {}
    for number in range(ALIASES - 1):
        short.frame(others, number, message(0, "x", f"run {number}"))
    assert len(others) == TEXTS
    assert short.frame(texts, 2, message(1, "b")) == '[0,"b"]'
    short.frame(others, 999, message(0, "x", "one more"))
    assert json.loads(short.frame(texts, 3, message(2, "c")))["alias"] == ALIASES + 1


def test_split_finds_the_fields_whatever_the_text_is() -> None:
    text = ',"index":9,"text":"\\ \n\u00e9'
    name, index, end, encoded = split(message(3, text)["b"])
    assert (index, end, json.loads(encoded)) == (3, 3 + len(text), text)
    assert name.endswith(b'"attempt":1')


async def test_a_client_that_does_not_ask_gets_whole_deltas() -> None:
    log, _, page, sent = await shown(short=False)
    for text in ("One", " two"):
        page.live(log.delta(RUNS[0], text))
    await asyncio.sleep(0.01)
    assert [(one["type"], one["text"], "alias" in one) for one in sent] == [
        ("run.delta", "One", False), ("run.delta", " two", False),
    ]  # fmt: skip


async def test_after_catching_up_and_in_another_place_the_first_delta_is_whole() -> None:
    log, view, page, sent = await shown()
    page.live(log.delta(RUNS[0], "One"))
    page.live(log.delta(RUNS[0], " two"))
    log.delta(RUNS[0], " three")  # lost on the way
    page.live(log.delta(RUNS[0], " four"))
    await asyncio.sleep(0.01)
    page.live(log.delta(RUNS[0], " five"))
    page.live(log.delta(RUNS[0], " six"))
    await asyncio.sleep(0.01)
    page.socket.follow(CONVERSATION.bytes, Position("e1", view.seq))
    await asyncio.sleep(0.01)
    page.live(log.delta(RUNS[0], " seven"))
    await asyncio.sleep(0.01)
    kinds = [one if isinstance(one, list) else (one["text"], one.get("alias")) for one in sent]
    assert kinds == [("One", 0), [0, " two"], (" three four", None), (" five", 1), [1, " six"], (" seven", 2)]
    assert view.text(RUNS[0]) == log.texts[RUNS[0]]


async def test_it_is_switched_off_again() -> None:
    log, _, page, sent = await shown()
    page.live(log.delta(RUNS[0], "One"))
    page.socket.shorten(on=False)
    page.live(log.delta(RUNS[0], " two"))
    page.socket.shorten(on=True)
    page.live(log.delta(RUNS[0], " three"))
    await asyncio.sleep(0.01)
    assert [(one["text"], one.get("alias")) for one in sent] == [("One", 0), (" two", None), (" three", 0)]
