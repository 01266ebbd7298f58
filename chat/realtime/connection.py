"""The outgoing half of one WebSocket connection: which frames are sent, in which order, and how many at a time.

Events of the log are sent only within the ack window, so the outbox is bounded by that window and by the replies to
commands under way. Commands: `chat.realtime.consumer`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, Protocol, TypeVar

import redis
import structlog
from django.conf import settings

from chat.eventlog import store
from chat.eventlog.replay import lengths_before, merge
from chat.protocol.close_codes import Close
from chat.protocol.commands import Command, Position
from chat.protocol.errors import ChatError
from chat.protocol.frames import encode, stamp
from chat.protocol.limits import HEARTBEAT_SECONDS, PONG_SECONDS, WINDOW_BYTES
from chat.realtime.cursor import Action, Cursor, SendWindow
from chat.realtime.outbox import Outbox, Send
from chat.realtime.short_deltas import ShortDeltas
from chat.telemetry.metrics import counted, event_lag

Part = TypeVar("Part")
Reply = Callable[[dict[str, Any], str | None], None]  # takes a frame and the command's `ref`
Fail = Callable[[ChatError, str | None], None]  # takes an error and the command's `ref`
Handlers = dict[type[Command], Callable[[Part, Any], Awaitable[None]]]  # which method of a part carries out a command


class Read(Protocol):
    """Reads a conversation's log after a position (`chat.eventlog.store.read`)."""

    async def __call__(self, conversation_id: uuid.UUID, after: Position, *, limit: int) -> store.Replay: ...


READ_LIMIT: Final = 500  # events a catch-up reads at a time
PING: Final = encode({"type": "ping"})

logger = structlog.get_logger(__name__)


class Connection(Outbox):
    """Sends one client its frames: cursors in conversations' event logs, a window over all of them, a heartbeat."""

    def __init__(
        self,
        send: Send,
        user_id: uuid.UUID,
        session_hash: str,
        *,
        window_bytes: int = WINDOW_BYTES,
        read: Read = store.read,
    ) -> None:
        super().__init__(send)
        now = time.monotonic()
        self.user_id = user_id
        self.session_hash = session_hash
        self.window = SendWindow(window_bytes)
        self.cursors: dict[bytes, Cursor] = {}  # by conversation id
        self.last_used = now
        self._read = read
        self._tasks: set[asyncio.Task[None]] = set()
        # Run id -> lengths of `text` and `reasoning` that a snapshot showed, until the next delta of it, or the end.
        self._guards: dict[str, dict[str, int]] = {}
        # The first ping comes at a random moment, so that sockets opened together do not ping together.
        self._next_ping = now + HEARTBEAT_SECONDS * random.uniform(0.5, 1)
        self._pong_due: float | None = None
        self._short: ShortDeltas | None = None  # if the client wants deltas short

    # --- out ----------------------------------------------------------------------------------------------------

    def put_event(self, cursor: Cursor, seq: int, frame: str) -> None:
        """Sends an event of the log and moves the cursor."""
        self.last_used = time.monotonic()
        counted.events_sent += 1
        cursor.sent(seq, len(frame))
        self.put(frame)
        if self.window.full and self.window.blocked_since is None:
            self.window.blocked_since = time.monotonic()

    def put_ephemeral(self, frame: str) -> None:
        """Sends a frame that may be lost, such as typing or presence; dropped first if the client is slow."""
        if self.window.unacked < self.window.limit // 2:
            self.put(frame)
        else:
            counted.ephemeral_dropped += 1

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` until it ends or the connection closes."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        """The connection has closed: cancels the tasks that run for it."""
        self.closed = self.closed or 1006
        tasks = [*self._tasks, *([self._writer] if self._writer else [])]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- events -------------------------------------------------------------------------------------------------

    def on_event(self, message: dict[str, Any]) -> None:
        """Handles a live event of the channel layer. Its frame is built once for all connections of the process."""
        cursor = self.cursors.get(message["c"])
        if cursor is None:
            return
        at = message.get("at")
        if at is None:
            epoch, _, number = message["__stamp__"].partition(":")
            at = message["at"] = (epoch, int(number))
            if "t" in message and settings.METRICS:
                event_lag.observe((max(0.0, time.time() - message["t"]),))
        action = cursor.offer(*at)
        if action is Action.SEND:
            if self._guards and not self._fits(message["b"]):
                self.reset(message["c"])
                return
            if self._short is not None and message["d"]:
                frame = self._short.frame(cursor.texts, at[1], message)
            else:
                frame = message.get("frame") or message.setdefault("frame", stamp(at[1], message["b"]))
            self.put_event(cursor, at[1], frame)
        elif action is Action.READ:
            counted.gaps += 1
            self.catch_up(message["c"])
        elif action is Action.RESET:
            self.reset(message["c"])

    def _fits(self, body: bytes) -> bool:
        """Whether an event continues a snapshot's texts exactly. If the log was lost, text between may be missing."""
        run_id, lengths = lengths_before(body)
        guard = self._guards.get(run_id, {})
        fits = all(length in (None, guard.pop(kind, length)) for kind, length in lengths.items())
        if lengths and not (guard and fits):
            self._guards.pop(run_id, None)
        return fits

    def follow(
        self, conversation: bytes, position: Position, *, lengths: dict[str, dict[str, int]] | None = None
    ) -> None:
        """Puts a cursor at `position` and catches up from there. `lengths`: of unfinished answers in a snapshot."""
        self.forget(conversation)
        self.cursors[conversation] = Cursor(position, self.window)
        self._guards.update(lengths or {})
        self.catch_up(conversation)

    @contextlib.contextmanager
    def held(self, conversation: bytes) -> Iterator[None]:
        """Sends no event of this conversation meanwhile, if it is followed. `follow` ends that, else the block's end.

        For a snapshot: what overtook it would be sent again after it.
        """
        cursor = self.cursors.get(conversation)
        if cursor is not None:
            cursor.held = True
        try:
            yield
        finally:
            if cursor is not None and self.cursors.get(conversation) is cursor:
                cursor.held = False
                self.catch_up(conversation)

    def forget(self, conversation: bytes) -> bool:
        """Removes a conversation's cursor; whether there was one."""
        cursor = self.cursors.pop(conversation, None)
        if cursor is None:
            return False
        cursor.forget()
        return True

    def reset(self, conversation: bytes) -> None:
        """The cursor is invalid: tells the client to take a snapshot."""
        if self.forget(conversation):
            counted.resets += 1
            self.put(encode({"type": "reset", "conversation_id": str(uuid.UUID(bytes=conversation))}))

    def ack(self, conversation: bytes, seq: int) -> None:
        """The client has handled a conversation's events up to `seq`."""
        cursor = self.cursors.get(conversation)
        if cursor is None:
            return
        cursor.ack(seq)
        if self.window.full:
            # Each ack, however slow, restarts the time after which a slow client is closed.
            self.window.blocked_since = time.monotonic()
            return
        self.window.blocked_since = None
        for key, waiting in self.cursors.items():
            if waiting.wants_read:
                self.catch_up(key)

    def catch_up(self, conversation: bytes) -> None:
        """Starts to read the log from the cursor on, unless that is under way."""
        cursor = self.cursors.get(conversation)
        if cursor is not None and not cursor.reading and not cursor.held and self.closed is None:
            cursor.reading = True
            counted.catch_ups += 1
            self.spawn(self._catch_up(conversation, cursor))

    def catch_up_all(self) -> None:
        """The channel layer was reconnected to Redis and may have missed events of any conversation."""
        for conversation, cursor in list(self.cursors.items()):
            cursor.again = cursor.reading
            self.catch_up(conversation)

    async def _catch_up(self, conversation: bytes, cursor: Cursor) -> None:
        """Reads the log until the cursor is at its end, or the window is full."""
        delay = 0.1
        try:
            while self.cursors.get(conversation) is cursor:
                try:
                    replay = await self._read(uuid.UUID(bytes=conversation), cursor.position, limit=READ_LIMIT)
                except (redis.RedisError, OSError) as error:
                    logger.warning("catch_up_delayed", connection=self.connection_id, error=type(error).__name__)
                    await asyncio.sleep(delay * random.uniform(0.5, 1))
                    delay = min(delay * 2, 5.0)
                    continue
                if self.cursors.get(conversation) is not cursor or cursor.held:
                    return
                if replay.entries is None:
                    self.reset(conversation)
                    return
                cursor.head = max(cursor.head, replay.position.seq)
                cursor.texts.clear()  # merged deltas have no alias
                for seq, body in merge(replay.entries):
                    if self.window.full:
                        cursor.behind = True
                        return
                    if self._guards and not self._fits(body):
                        self.reset(conversation)
                        return
                    self.put_event(cursor, seq, stamp(seq, body))
                if cursor.again:
                    cursor.again = False
                elif cursor.head <= cursor.seq:
                    cursor.behind = False
                    return
        finally:
            cursor.reading = False

    def shorten(self, *, on: bool) -> None:
        """Sends deltas in the short form from now on, or no more."""
        for cursor in self.cursors.values():
            cursor.texts.clear()
        self._short = (self._short or ShortDeltas()) if on else None

    # --- time ---------------------------------------------------------------------------------------------------

    def pong(self) -> None:
        """The client answered the last ping."""
        self._pong_due = None

    def tick(self, now: float) -> None:
        """Sends a ping or closes, as the time requires. Called once a second (`chat.realtime.open_sockets`)."""
        if self.closed is not None:
            return
        if self._pong_due is not None and now >= self._pong_due:
            self.close(Close.NO_PONG)
        elif self.window.blocked_since is not None and now - self.window.blocked_since >= settings.SOCKET_SLOW_SECONDS:
            self.close(Close.TOO_SLOW)
        elif now - self.last_used >= settings.SOCKET_IDLE_SECONDS:
            self.close(Close.IDLE)
        elif now >= self._next_ping:
            self._next_ping = now + HEARTBEAT_SECONDS
            self._pong_due = now + PONG_SECONDS
            self.put(PING)
