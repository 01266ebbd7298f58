"""What one connection is sent of a conversation's event log, and when. No Django, no Redis, no await.

A `Cursor` is a connection's position in one event log. A live event that continues it is sent at once. After any other
event the log is read from the cursor on; that is always correct, because the log has every event and the channel layer
may lose some. A `SendWindow` limits the bytes sent and not yet acknowledged, over all conversations of a connection.
While it is full nothing is sent or queued: the log keeps the events, and the next ack starts to read them.
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
    READ = "read"  # a gap, or the connection is behind: read the log from the cursor on
    WAIT = "wait"  # a read is under way, the cursor is held or the window is full: the log keeps it
    RESET = "reset"  # another epoch: the cursor is invalid


class SendWindow:
    """Bytes sent on a connection and not yet acknowledged."""

    __slots__ = ("blocked_since", "limit", "unacked")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.unacked = 0
        self.blocked_since: float | None = None  # clock of the caller, seconds

    @property
    def full(self) -> bool:
        return self.unacked >= self.limit


class Cursor:
    """One connection's position in one conversation's event log."""

    __slots__ = ("_sent", "acked", "again", "behind", "epoch", "head", "held", "reading", "seq", "texts", "window")

    def __init__(self, position: Position, window: SendWindow, *, reading: bool = False) -> None:
        self.epoch = position.epoch
        self.seq = position.seq  # the last one sent
        self.head = position.seq  # the last one known to exist
        self.acked = position.seq  # the last one the client has handled
        self.window = window
        self.reading = reading
        self.behind = False
        self.again = False  # the read under way may have come too early: read once more
        self.held = False  # nothing is sent: a snapshot is being taken, and the events after it are sent after it
        self.texts: dict[bytes, list[int]] = {}  # see `chat.realtime.short_deltas`
        self._sent: deque[tuple[int, int]] = deque()  # (seq, bytes) not yet acknowledged

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq)

    def offer(self, epoch: str, seq: int) -> Action:
        """What to do with a live event that has come in."""
        if epoch != self.epoch:
            return Action.RESET
        if seq <= self.seq:
            return Action.DROP
        self.head = max(self.head, seq)
        if self.reading or self.held:
            return Action.WAIT
        if self.window.full:
            self.behind = True
            return Action.WAIT
        if self.behind or seq != self.seq + 1:
            return Action.READ
        return Action.SEND

    def sent(self, seq: int, size: int) -> None:
        """Records a frame of `size` bytes that brings the client up to `seq`."""
        self.seq = seq
        self.head = max(self.head, seq)
        self._sent.append((seq, size + FRAME_OVERHEAD))
        self.window.unacked += size + FRAME_OVERHEAD

    def ack(self, seq: int) -> bool:
        """The client has handled everything up to `seq`. True if the log must be read, as the window has room again."""
        if not self.acked < seq <= self.seq:
            return False
        self.acked = seq
        while self._sent and self._sent[0][0] <= seq:
            self.window.unacked -= self._sent.popleft()[1]
        return self.wants_read

    @property
    def wants_read(self) -> bool:
        """Whether events wait in the log, no read is under way, nothing holds them, and the window has room."""
        return not self.reading and not self.held and not self.window.full and self.head > self.seq

    def forget(self) -> None:
        """Ends the subscription: its unacknowledged bytes no longer count."""
        self.window.unacked -= sum(size for _, size in self._sent)
        self._sent.clear()
