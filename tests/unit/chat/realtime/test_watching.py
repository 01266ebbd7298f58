"""Live shares without servers: frames, ids, the path that is shown, and the bound on what waits for a reader."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from chat.eventlog.replay import LogEntry
from chat.protocol.commands import Position
from chat.realtime.watching.frames import event_frame, make_frame, parse_position
from chat.realtime.watching.path import Path
from chat.realtime.watching.watcher import HEARTBEAT_SECONDS, MOST_WAITING, Watcher
from chat.shares.shaping import Look
from chat.telemetry import metrics

LOOK = Look(names=True, reasoning=False)


@given(st.text())
def test_a_frame_is_one_event_whatever_the_text(text: str) -> None:
    frame = event_frame({"type": "run.delta", "text": text}, Position("ab", 7))
    [head, data, *rest] = frame.plain.decode().split("\n")
    assert (head, rest) == ("id: ab.7", ["", ""])
    assert json.loads(data.removeprefix("data: "))["text"] == text
    size, _, body = frame.chunk.partition(b"\r\n")
    assert (int(size, 16), body) == (len(frame.plain), frame.plain + b"\r\n")


@pytest.mark.parametrize(
    "text", ["", ".", "ab", ".5", "ab.", "ab.x", "ab.-1", "ab.1٣", "x" * 40 + ".1", "ab." + "9" * 16]
)
def test_an_id_that_is_none(text: str) -> None:
    assert parse_position(text) is None


def test_an_id() -> None:
    assert parse_position("0123456789abcdef.12") == Position("0123456789abcdef", 12)


# --- the path --------------------------------------------------------------------------------------------------------


def message(id_: str, parent: str | None, **more: Any) -> dict[str, Any]:
    made = {"id": id_, "parent_id": parent, "role": "user", "status": "complete", "text": id_, "run": None}
    return {**made, **more}


def created(id_: str, parent: str | None, **more: Any) -> dict[str, Any]:
    return {"type": "message.created", "message": message(id_, parent, **more)}


def entry(seq: int, event: dict[str, Any], *, delta: bool = False) -> LogEntry:
    return LogEntry(seq, json.dumps(event).encode(), delta)


def test_the_path_grows_at_its_end() -> None:
    path = Path([message("q", None), message("a", "q")])
    assert path.follow(created("q2", "a")) is True
    assert path.follow(created("a2", "q2")) is True
    assert path.follow(created("a2", "q2")) is True, "once more changes nothing"
    assert path.follow({"type": "run.queued", "run_id": "r", "message_id": "a2"}) is True
    assert path.follow({"type": "run.done", "run_id": "r"}) is True


def test_another_branch_needs_a_snapshot() -> None:
    path = Path([message("q", None), message("a", "q")])
    assert path.follow(created("q'", None)) is None
    assert path.follow(created("a'", "q")) is None


def test_answers_side_by_side_are_of_the_path() -> None:
    path = Path([message("q", None)])
    assert path.follow(created("a1", "q", slot=1)) is True
    assert path.follow(created("a2", "q", slot=2)) is True


def test_what_happens_on_other_branches_is_not_shown() -> None:
    path = Path([message("q", None), message("a", "q")])
    assert path.follow({"type": "message.updated", "message": message("x", "y")}) is False
    assert path.follow({"type": "run.queued", "run_id": "r", "message_id": "x"}) is False
    assert path.follow({"type": "run.done", "run_id": "r"}) is False


@pytest.mark.parametrize("kind", ["answer.chosen", "message.deleted", "something.new"])
def test_what_is_not_known_needs_a_snapshot(kind: str) -> None:
    """It may have hidden a text."""
    assert Path([]).follow({"type": kind}) is None
    assert Path([]).created_in([entry(1, {"type": kind})]) is None


def test_a_delta_must_continue_the_text_of_the_snapshot() -> None:
    running = {"run_id": "r", "text_length": 5}
    path = Path([message("q", None), message("a", "q", status="streaming", run=running)])
    late = json.dumps({"type": "run.delta", "run_id": "r", "index": 9, "text": "x"}).encode()
    assert not path.fits(late)
    path = Path([message("q", None), message("a", "q", status="streaming", run=running)])
    next_ = json.dumps({"type": "run.delta", "run_id": "r", "index": 5, "text": "x"}).encode()
    assert path.fits(next_)


def test_who_missed_messages_of_another_path_needs_a_snapshot() -> None:
    path = Path([message("q", None), message("a", "q")])
    assert path.created_in([entry(3, created("a", "q"))]) == {"a"}
    assert path.created_in([entry(3, created("elsewhere", "q"))]) is None


# --- a reader that does not keep up ----------------------------------------------------------------------------------


class FakeStream:
    """Takes what is written; `unread` of it has not been accepted by the kernel."""

    chunked = False

    def __init__(self) -> None:
        self.data = b""
        self.unread = 0
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.data += data

    def waiting(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
async def reader() -> tuple[Watcher, FakeStream]:
    stream = FakeStream()
    watcher = Watcher(uuid.uuid4(), LOOK, timezone.now() + timedelta(days=1))
    watcher.open(stream)
    return watcher, stream


def at(seq: int) -> Position:
    return Position("e", seq)


async def test_nothing_is_sent_twice(reader: tuple[Watcher, FakeStream]) -> None:
    watcher, stream = reader
    for seq in (1, 2, 2, 1, 3):
        watcher.put(make_frame(b"%d " % seq), at(seq))
    assert stream.data == b"1 2 3 "


async def test_nothing_is_queued_for_one_that_does_not_read(reader: tuple[Watcher, FakeStream]) -> None:
    watcher, stream = reader
    watcher.put(make_frame(b"1 "), at(1))
    stream.unread = MOST_WAITING + 1
    watcher.put(make_frame(b"2 "), at(2))
    stream.unread = 0
    watcher.put(make_frame(b"3 "), at(3))
    assert stream.data == b"1 ", "what it missed comes from the log, in order"
    assert watcher.position == at(1)
    assert watcher.tick(0.0), "it has read what waited: it may resume"


async def test_one_that_reads_nothing_is_cut(reader: tuple[Watcher, FakeStream], settings: Any) -> None:
    watcher, stream = reader
    settings.SOCKET_SLOW_SECONDS = 30.0
    stream.unread = MOST_WAITING + 1
    watcher.put(make_frame(b"1 "), at(1))
    assert watcher.behind_since is not None
    began, cut = watcher.behind_since, metrics.counted.watchers_cut
    assert not watcher.tick(began + 29)
    assert not watcher.ended.done()
    stream.unread -= 1000
    assert not watcher.tick(began + 31)
    assert not watcher.ended.done(), "it reads, however slowly"
    assert not watcher.tick(began + 62)
    assert stream.aborted
    assert watcher.ended.done()
    assert metrics.counted.watchers_cut == cut + 1


async def test_a_comment_every_fifteen_seconds(reader: tuple[Watcher, FakeStream]) -> None:
    watcher, stream = reader
    begin = watcher.next_beat
    for second in range(61):
        watcher.tick(begin + second)
    assert stream.data.count(b":\n\n") == 60 // HEARTBEAT_SECONDS + 1


async def test_one_that_may_no_longer_read_gets_nothing_that_waits(reader: tuple[Watcher, FakeStream]) -> None:
    watcher, stream = reader
    stream.unread = MOST_WAITING + 1
    watcher.put(make_frame(b"1 "), at(1))
    watcher.end(make_frame(b"end"))
    assert stream.aborted
    assert stream.data == b""
