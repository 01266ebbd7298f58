"""Delivery under any interleaving: the real `Connection` over a log in memory and a network that loses and repeats."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.eventlog.replay import LogEntry, ReasoningDelta, extend, merge
from chat.eventlog.store import Replay
from chat.protocol.commands import Position
from chat.protocol.frames import encode_event
from chat.realtime.connection import Connection
from chat.realtime.cursor import Action, Cursor, SendWindow
from tests.client_view import ShortDeltas, View, apply_event

CONVERSATION = uuid.UUID(int=7)
RUNS = [str(uuid.UUID(int=number)) for number in (1, 2)]


class MemoryLog:
    """A log with the semantics of `chat.eventlog.store`: contiguous, with an epoch, bounded, now and then slow."""

    def __init__(self) -> None:
        self.epoch = "e1"
        self.entries: list[LogEntry] = []
        self.first = 1
        self.texts: dict[str, str] = {}
        self.thoughts: dict[str, str] = {}

    @property
    def seq(self) -> int:
        return self.first + len(self.entries) - 1

    def delta(self, run: str, text: str) -> LogEntry:
        index = len(self.texts.setdefault(run, ""))
        self.texts[run] += text
        event = {"type": "run.delta", "conversation_id": str(CONVERSATION), "run_id": run, "attempt": 1}
        return self._append(LogEntry(self.seq + 1, encode_event({**event, "index": index, "text": text}), True))

    def thought(self, run: str, text: str) -> LogEntry:
        index = len(self.thoughts.setdefault(run, ""))
        self.thoughts[run] += text
        event = {"type": "run.reasoning", "conversation_id": str(CONVERSATION), "run_id": run, "attempt": 1, "step": 0}
        return self._append(LogEntry(self.seq + 1, encode_event({**event, "index": index, "text": text}), True))

    def end(self, run: str) -> LogEntry:
        event: dict[str, Any] = {"type": "run.done", "conversation_id": str(CONVERSATION), "run_id": run, "attempt": 1}
        event |= {"text_length": len(self.texts.get(run, "")), "reasoning": {"length": len(self.thoughts.get(run, ""))}}
        return self._append(LogEntry(self.seq + 1, encode_event(event), False))

    def state(self, run: str) -> LogEntry:
        event = {"type": "run.queued", "conversation_id": str(CONVERSATION), "run_id": run, "attempt": 1}
        return self._append(LogEntry(self.seq + 1, encode_event(event), False))

    def _append(self, entry: LogEntry) -> LogEntry:
        self.entries.append(entry)
        return entry

    async def read(self, conversation_id: uuid.UUID, after: Position, *, limit: int) -> Replay:
        await asyncio.sleep(0)
        here = Position(self.epoch, self.seq)
        if after.epoch != self.epoch or not self.first - 1 <= after.seq <= self.seq:
            return Replay(here, None)
        return Replay(here, self.entries[after.seq - self.first + 1 :][:limit])


class Page:
    """A browser tab: a socket, what it was sent, what it shows. Acknowledges when told to. `short`: deltas are."""

    def __init__(self, log: MemoryLog, view: View, window: int, *, short: bool = False) -> None:
        self.log, self.view = log, view
        self.socket = Connection(self.receive, uuid.UUID(int=9), "s", window_bytes=window, read=log.read)
        self.resets = 0
        self.largest_unacked = 0
        self.socket.begin('{"type":"hello"}')
        self.deltas = ShortDeltas()
        self.socket.shorten(on=short)

    async def receive(self, message: dict[str, Any]) -> None:
        frame = self.deltas.expand(json.loads(message["text"]))
        if frame["type"] == "reset":
            self.resets += 1
        elif frame["type"] != "hello":
            apply_event(self.view, frame)
        self.largest_unacked = max(self.largest_unacked, self.socket.window.unacked)

    def follow(self) -> None:
        self.socket.follow(CONVERSATION.bytes, Position(self.view.epoch, self.view.seq))

    def live(self, entry: LogEntry) -> None:
        stamp = f"{self.log.epoch}:{entry.seq}"
        self.socket.on_event({"c": CONVERSATION.bytes, "__stamp__": stamp, "b": entry.body, "d": entry.delta})

    def ack(self) -> None:
        self.socket.ack(CONVERSATION.bytes, self.view.seq)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("delta"), st.sampled_from(RUNS), st.text(min_size=1, max_size=30)),
        st.tuples(st.just("thought"), st.sampled_from(RUNS), st.text(min_size=1, max_size=30)),
        st.tuples(st.just("state"), st.sampled_from(RUNS)),
        st.tuples(
            st.just("arrive"), st.integers(0, 12)
        ),  # an event of the recent ones, maybe again, maybe out of order
        st.tuples(st.just("ack")),
        st.tuples(st.just("reconnect")),
        st.tuples(st.just("run"), st.integers(1, 6)),
    ),
    max_size=60,
)


@given(steps, st.integers(100, 2_000), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_interleaving_shows_the_stored_text(script: list[tuple[Any, ...]], window: int, short: bool) -> None:
    asyncio.run(play(script, window, short=short))


async def play(script: list[tuple[Any, ...]], window: int, *, short: bool) -> None:
    log, view = MemoryLog(), View(epoch="e1")
    page = Page(log, view, window, short=short)
    page.follow()
    on_the_way: list[LogEntry] = []
    for step in script:
        match step:
            case ("delta", run, text):
                on_the_way.append(log.delta(run, text))
            case ("thought", run, text):
                on_the_way.append(log.thought(run, text))
            case ("state", run):
                on_the_way.append(log.state(run))
            case ("arrive", place) if on_the_way:
                page.live(on_the_way[max(0, len(on_the_way) - 1 - place)])
            case ("ack",):
                page.ack()
            case ("reconnect",):
                await page.socket.end()
                page = Page(log, view, window, short=short)
                page.follow()
            case ("run", times):
                for _ in range(times):
                    await asyncio.sleep(0)
    # At the end one live event arrives and the client acknowledges: nothing else is needed to be level.
    page.live(log.state(RUNS[0]))
    for _ in range(400):
        await asyncio.sleep(0)
        page.ack()
    assert page.resets == 0
    assert view.seq == log.seq
    for run, text in log.texts.items():
        assert view.text(run) == text
    for run, text in log.thoughts.items():
        assert view.runs[run]["reasoning"] == text
    longest = max((len(entry.body) for entry in log.entries), default=0) + 200
    assert page.largest_unacked <= window + max(longest, 48 * 1024)
    await page.socket.end()


async def test_nothing_is_sent_over_the_window_until_an_ack_comes() -> None:
    log, view = MemoryLog(), View(epoch="e1")
    page = Page(log, view, 1_000)
    page.follow()
    for _ in range(200):
        page.live(log.delta(RUNS[0], "x" * 20))
        await asyncio.sleep(0)
    sent = view.seq
    assert 1 <= sent < 20
    assert page.socket.window.unacked <= 1_000 + 300
    assert page.socket.window.blocked_since is not None
    page.ack()
    for _ in range(20):
        await asyncio.sleep(0)
    assert view.seq == 200, "one merged frame brings the rest"
    assert view.text(RUNS[0]) == log.texts[RUNS[0]]
    await page.socket.end()


async def test_another_epoch_resets() -> None:
    log, view = MemoryLog(), View(epoch="e1")
    page = Page(log, view, 1_000)
    page.follow()
    page.live(log.state(RUNS[0]))
    await asyncio.sleep(0)
    log.epoch = "e2"
    page.live(log.state(RUNS[0]))
    await asyncio.sleep(0.01)
    assert page.resets == 1
    assert not page.socket.cursors
    await page.socket.end()


async def test_a_trimmed_log_resets_rather_than_recover_in_part() -> None:
    log, view = MemoryLog(), View(epoch="e1")
    page = Page(log, view, 1_000)
    for _ in range(10):
        log.delta(RUNS[0], "a")
    log.entries, log.first = log.entries[5:], 6
    page.follow()
    await asyncio.sleep(0.01)
    assert page.resets == 1
    assert view.seq == 0
    await page.socket.end()


async def test_a_delta_that_does_not_continue_the_snapshot_resets() -> None:
    log, view = MemoryLog(), View(epoch="e1")
    log.delta(RUNS[0], "abcdef")
    page = Page(log, view, 1_000)
    view.seq = 1
    page.socket.follow(CONVERSATION.bytes, Position("e1", 1), lengths={RUNS[0]: {"text": 4}})
    page.live(log.delta(RUNS[0], "g"))
    await asyncio.sleep(0.01)
    assert page.resets == 1
    await page.socket.end()


def test_actions_of_a_cursor() -> None:
    cursor = Cursor(Position("e", 5), SendWindow(10_000))
    assert cursor.offer("e", 5) is Action.DROP
    assert cursor.offer("f", 6) is Action.RESET
    assert cursor.offer("e", 6) is Action.SEND
    cursor.sent(6, 10)
    assert cursor.offer("e", 8) is Action.READ
    cursor.reading = True
    assert cursor.offer("e", 9) is Action.WAIT
    assert cursor.head == 9


def test_merging_keeps_state_events_apart_and_counts_code_points() -> None:
    log = MemoryLog()
    log.delta(RUNS[0], "a😀")
    log.delta(RUNS[0], "b")
    log.delta(RUNS[1], "x")
    log.state(RUNS[0])
    log.delta(RUNS[0], "c")
    frames = [(seq, json.loads(body)) for seq, body in merge(log.entries)]
    assert [seq for seq, _ in frames] == [2, 3, 4, 5]
    assert frames[0][1]["text"] == "a😀b"
    assert frames[0][1]["index"] == 0
    assert frames[3][1]["index"] == 3


def test_merging_keeps_what_was_thought_apart_from_the_answer() -> None:
    log = MemoryLog()
    for text in ("hm", "m"):
        log.thought(RUNS[0], text)
    for text in ("a", "b"):
        log.delta(RUNS[0], text)
    log.thought(RUNS[0], "so")
    frames = [(seq, json.loads(body)) for seq, body in merge(log.entries)]
    assert [(seq, frame["type"], frame["index"], frame["text"]) for seq, frame in frames] == [
        (2, "run.reasoning", 0, "hmm"), (4, "run.delta", 0, "ab"), (5, "run.reasoning", 3, "so"),
    ]  # fmt: skip
    assert frames[0][1]["step"] == 0


@pytest.mark.parametrize(
    ("event", "fits"),
    [
        (lambda log: log.thought(RUNS[0], "more"), True),
        (lambda log: (log.thought(RUNS[0], "lost"), log.thought(RUNS[0], "more"))[1], False),
        (lambda log: log.delta(RUNS[0], "first"), True),
        (lambda log: log.end(RUNS[0]), True),
        (lambda log: (log.thought(RUNS[0], "lost"), log.end(RUNS[0]))[1], False),
    ],
)
async def test_reasoning_must_continue_a_snapshot_too(event: Callable[[MemoryLog], LogEntry], *, fits: bool) -> None:
    """A snapshot in the middle of thinking; the log was lost since, so nothing but the lengths shows a gap."""
    log, view = MemoryLog(), View(epoch="e1")
    log.thought(RUNS[0], "hmm")
    page = Page(log, view, 1_000)
    view.runs[RUNS[0]] = {"attempt": 1, "text": "", "reasoning": "hmm", "ended": None, "endings": [], "cut": False}
    entry = event(log)
    view.seq = entry.seq - 1
    page.socket.follow(CONVERSATION.bytes, Position("e1", view.seq), lengths={RUNS[0]: {"text": 0, "reasoning": 3}})
    page.live(entry)
    await asyncio.sleep(0.01)
    assert page.resets == (0 if fits else 1)
    await page.socket.end()


def test_extending_a_checkpoint() -> None:
    log = MemoryLog()
    for text in ("ab", "cd", "ef"):
        log.delta(RUNS[0], text)
        log.thought(RUNS[0], f"{text}?")
    assert extend("ab?", RUNS[0], 1, log.entries, ReasoningDelta) == "ab?cd?ef?"
    assert extend("", RUNS[0], 1, log.entries[2:], ReasoningDelta) is None
    assert extend("abc", RUNS[0], 1, log.entries) == "abcdef"
    assert extend("", RUNS[0], 1, log.entries[1:]) is None
    assert extend("abcdef", RUNS[0], 1, log.entries) == "abcdef"
    assert extend("", RUNS[0], 2, log.entries) == "", "another attempt's deltas do not count"
