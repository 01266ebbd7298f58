"""What one socket is sent of a conversation's log, and when. Pure: no Django, no Redis, no await.

A `Cursor` is a socket's place in one conversation. Live events that continue it go straight out; anything else is a
reason to read the log from the cursor on, which is always right because the log is the truth and the layer only a
doorbell. A `Window` bounds what a socket was sent and has not acknowledged, over all its conversations: over it
nothing is sent and nothing is queued, since the log keeps it; the next ack reads the log and goes on.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from chat.protocol import Position, encode_event

FRAME_OVERHEAD: Final = 64  # bytes a frame costs beside its payload: our record of it, framing, buffers
MAX_MERGED_BYTES: Final = 48 * 1024  # of one merged delta's text


@dataclass(frozen=True, slots=True)
class Entry:
    """One event read back from the log; `body` is its JSON without `seq`."""

    seq: int
    body: bytes
    delta: bool


class Action(enum.Enum):
    """What to do with a live event."""

    SEND = "send"  # it continues the cursor
    DROP = "drop"  # already sent
    READ = "read"  # a gap, or the socket is behind: read the log from the cursor on
    WAIT = "wait"  # a read is under way or the window is full: the log keeps it
    RESET = "reset"  # another epoch: the cursor is worth nothing


class Window:
    """Bytes sent to a socket and not yet acknowledged."""

    __slots__ = ("blocked_since", "limit", "unacked")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.unacked = 0
        self.blocked_since: float | None = None  # clock of the caller, seconds

    @property
    def full(self) -> bool:
        return self.unacked >= self.limit


class Cursor:
    """One socket's place in one conversation's log."""

    __slots__ = ("_sent", "acked", "again", "behind", "epoch", "head", "reading", "seq", "window")

    def __init__(self, position: Position, window: Window, *, reading: bool = False) -> None:
        self.epoch = position.epoch
        self.seq = position.seq  # the last one sent
        self.head = position.seq  # the last one known to exist
        self.acked = position.seq
        self.window = window
        self.reading = reading
        self.behind = False
        self.again = False  # the read under way may have come too early: read once more
        self._sent: deque[tuple[int, int]] = deque()  # (seq, bytes) not yet acknowledged

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq)

    def offer(self, epoch: str, seq: int) -> Action:
        """A live event has come in."""
        if epoch != self.epoch:
            return Action.RESET
        if seq <= self.seq:
            return Action.DROP
        self.head = max(self.head, seq)
        if self.reading:
            return Action.WAIT
        if self.window.full:
            self.behind = True
            return Action.WAIT
        if self.behind or seq != self.seq + 1:
            return Action.READ
        return Action.SEND

    def sent(self, seq: int, size: int) -> None:
        """A frame that brings the client up to `seq` went out with `size` bytes."""
        self.seq = seq
        self.head = max(self.head, seq)
        self._sent.append((seq, size + FRAME_OVERHEAD))
        self.window.unacked += size + FRAME_OVERHEAD

    def ack(self, seq: int) -> bool:
        """The client has handled all up to `seq`. True when the log must be read because room came free."""
        if not self.acked < seq <= self.seq:
            return False
        self.acked = seq
        while self._sent and self._sent[0][0] <= seq:
            self.window.unacked -= self._sent.popleft()[1]
        return self.wants_read

    @property
    def wants_read(self) -> bool:
        """Events are waiting in the log, nobody reads them yet, and there is room to send."""
        return not self.reading and not self.window.full and self.head > self.seq

    def forget(self) -> None:
        """The subscription ends: what it had under way no longer counts."""
        self.window.unacked -= sum(size for _, size in self._sent)
        self._sent.clear()


class Delta(msgspec.Struct, tag="run.delta", tag_field="type"):
    """A `run.delta` as it is logged."""

    conversation_id: str
    run_id: str
    attempt: int
    index: int
    text: str


_delta_decoder: Final = msgspec.json.Decoder(Delta)


def read_delta(body: bytes) -> Delta:
    return _delta_decoder.decode(body)


class _Start(msgspec.Struct):
    """Of any event of a run: how much of the answer it takes for granted."""

    type: str
    run_id: str = ""
    index: int | None = None  # of a delta
    text_length: int | None = None  # of an ending


_start_decoder: Final = msgspec.json.Decoder(_Start)


def length_before(body: bytes) -> tuple[str, int | None]:
    """(run id, code points of its answer that a client must have before this event); None where it does not matter."""
    event = _start_decoder.decode(body)
    return event.run_id, event.text_length if event.index is None else event.index


def extend(text: str, run_id: str, attempt: int, entries: Iterable[Entry]) -> str | None:
    """`text` of a run with the logged deltas of this attempt written over it; None where they leave a gap."""
    parts, length = [text], len(text)
    for entry in entries:
        if not entry.delta:
            continue
        delta = read_delta(entry.body)
        if delta.run_id != run_id or delta.attempt != attempt or delta.index + len(delta.text) <= length:
            continue
        if delta.index > length:
            return None
        fresh = delta.text[length - delta.index :]
        parts.append(fresh)
        length += len(fresh)
    return "".join(parts)


def merge(entries: Iterable[Entry]) -> Iterator[tuple[int, bytes]]:
    """(seq, body) of the frames that bring a client up to date: runs of deltas of one answer become one frame.

    A merged frame has the `seq` of the last delta and the `index` of the first (protocol §3).
    """
    texts: list[str] = []
    first: Delta | None = None
    held: Entry | None = None  # the newest entry in `texts`
    length = size = 0

    def flush() -> Iterator[tuple[int, bytes]]:
        nonlocal first, held, length, size
        if held is not None and first is not None:
            if len(texts) == 1:
                yield held.seq, held.body
            else:
                event = {
                    "type": "run.delta",
                    "conversation_id": first.conversation_id,
                    "run_id": first.run_id,
                    "attempt": first.attempt,
                    "index": first.index,
                    "text": "".join(texts),
                }
                yield held.seq, encode_event(event)
        texts.clear()
        first = held = None
        length = size = 0

    for entry in entries:
        if not entry.delta:
            yield from flush()
            yield entry.seq, entry.body
            continue
        delta = read_delta(entry.body)
        joins = (
            first is not None
            and (delta.run_id, delta.attempt) == (first.run_id, first.attempt)
            and delta.index == first.index + length
            and size + len(entry.body) <= MAX_MERGED_BYTES
        )
        if not joins:
            yield from flush()
            first = delta
        texts.append(delta.text)
        length += len(delta.text)
        size += len(entry.body)
        held = entry
    yield from flush()
