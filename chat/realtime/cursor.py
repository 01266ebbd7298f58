"""What one socket is sent of a conversation's log, and when. Pure: no Django, no Redis, no await.

A `Cursor` is a socket's place in one conversation. Live events that continue it go straight out; anything else is a
reason to read the log from the cursor on, which is always right because the log is the truth and the layer only a
doorbell. A `Window` bounds what a socket was sent and has not acknowledged, over all its conversations: over it
nothing is sent and nothing is queued, since the log keeps it; the next ack reads the log and goes on.
"""

from __future__ import annotations

import enum
from collections import deque

from chat.eventlog.replay import FRAME_OVERHEAD
from chat.protocol.commands import Position


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
