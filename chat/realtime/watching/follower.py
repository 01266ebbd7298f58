"""Follows one conversation's event log in this process, for however many watch it: one subscription and one position.

As with a socket, the log decides: an event that is not the next one makes it read the log from its position, and
another epoch, or another branch that is the newest now, makes it take a snapshot.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Coroutine
from typing import Any, Final

import msgspec
import structlog

from accounts.lib.outage import OUTAGE
from chat.conversations.snapshot import State, read_state
from chat.eventlog import store
from chat.eventlog.replay import LogEntry, merge
from chat.models import Conversation
from chat.protocol.commands import Position
from chat.protocol.errors import Unavailable
from chat.realtime.watching.path import Path

SNAPSHOT_MESSAGES: Final = 100
SHARED_SECONDS: Final = 1.0  # for so long a snapshot serves others who come
READ_LIMIT: Final = 5_000  # more than a log has

logger = structlog.get_logger(__name__)


class GoneError(Exception):
    """The conversation does not exist any more."""


class Follower:
    """Calls `on_event` with each event of the path, `on_snapshot` with a state that replaces what was passed on, and
    `on_change` when access may have changed.
    """

    def __init__(self, conversation_id: uuid.UUID) -> None:
        self.conversation_id = conversation_id
        self.position = Position("", 0)
        self.path = Path([])
        self.stale = False  # what is known of the path is wrong: nothing is passed on before a snapshot
        self.channel = ""
        # The loop's time of the subscription, and of the last message that access may have changed.
        self.started_at = self.changed_at = 0.0
        self._state: State | None = None
        self._state_at = 0.0
        self._starting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._again = False  # the read under way may have come too early
        self._loading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def on_event(self, event: dict[str, Any], at: Position) -> None:
        raise NotImplementedError

    def on_snapshot(self, state: State) -> None:
        raise NotImplementedError

    async def on_change(self) -> None:
        raise NotImplementedError

    # --- begin and end ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Subscribes to the conversation, and then reads it. Safe to repeat.

        Raises `GoneError`, `Unavailable`, and an outage's errors.
        """
        if self._starting is None or (self._starting.done() and not self.channel):
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        layer = store.channel_layer()
        channel = await layer.new_channel()
        try:
            layer.attach(channel, self._on_layer)
            await layer.group_add(store.group_name(self.conversation_id), channel)
            self.started_at = asyncio.get_running_loop().time()
            async with self._loading:
                self._adopt(await self._read_state())
        except BaseException:
            layer.release(channel)
            raise
        self.channel = channel

    async def stop(self) -> None:
        """Nobody watches any more."""
        tasks = [task for task in (*self._tasks, self._reading, self._starting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.channel:
            store.channel_layer().release(self.channel)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` until it ends or the follower stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- from the channel layer ---------------------------------------------------------------------------------

    def _on_layer(self, message: dict[str, Any]) -> None:
        """A message of the channel layer, called by its reader: nothing here may wait."""
        kind = message["type"]
        if kind == "log.event":
            epoch, _, number = message["__stamp__"].partition(":")
            self._on_log(Position(epoch, int(number)), message["b"], delta=message["d"])
        elif kind in ("share.check", "session.ended", "layer.reset"):
            self.changed_at = asyncio.get_running_loop().time()
            self.spawn(self.on_change())
            if kind == "layer.reset":
                self.catch_up()

    def _on_log(self, at: Position, body: bytes, *, delta: bool) -> None:
        if self._reading is not None and not self._reading.done():
            self._again = True
            return
        if at.epoch == self.position.epoch and at.seq <= self.position.seq:
            return
        is_next = at.epoch == self.position.epoch and at.seq == self.position.seq + 1
        if not is_next or not self._pass_on(at, body, delta=delta):
            self.catch_up()

    def _pass_on(self, at: Position, body: bytes, *, delta: bool) -> bool:
        """Handles the next event. False if a snapshot is needed instead."""
        event = msgspec.json.decode(body)
        concerns: bool | None = None
        if self.path.fits(body):
            concerns = event["run_id"] in self.path.runs if delta else self.path.follow(event)
        if concerns is None:
            self.stale = True
            return False
        self.position = at
        if concerns:
            self.on_event(event, at)
        return True

    # --- reading ------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Starts to read the log from the position on, unless that is under way."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._catch_up())
        else:
            self._again = True

    async def _catch_up(self) -> None:
        delay = 0.1
        while True:
            self._again = False
            try:
                if self._starting is not None:
                    await asyncio.shield(self._starting)
                await self._read_on()
            except GoneError:
                await self.on_change()
                return
            except (*OUTAGE, Unavailable, OSError) as error:
                logger.warning("share_stream_delayed", error=type(error).__name__)
                await asyncio.sleep(delay * random.uniform(0.5, 1))
                delay = min(delay * 2, 5.0)
                continue
            if not self._again and not self.stale:
                return

    async def _read_on(self) -> None:
        """Passes on what is in the log after the position, or takes a snapshot."""
        replay = None if self.stale else await store.read(self.conversation_id, self.position, limit=READ_LIMIT)
        if replay is None or replay.entries is None:
            async with self._loading:
                self._adopt(await self._read_state())
            return
        for entry in merged(replay.entries):
            at = Position(self.position.epoch, entry.seq)
            if at.seq > self.position.seq and not self._pass_on(at, entry.body, delta=entry.delta):
                return

    def _adopt(self, state: State) -> None:
        """Goes on from a snapshot. If there was a position before, it was invalid."""
        is_first = not self.position.epoch
        self.position, self.path, self.stale = state.position, Path(state.messages), False
        self._state, self._state_at = state, asyncio.get_running_loop().time()
        if not is_first:
            self._again = True  # what came while the state was read
            self.on_snapshot(state)

    async def _read_state(self) -> State:
        try:
            return await read_state(self.conversation_id, limit=SNAPSHOT_MESSAGES)
        except Conversation.DoesNotExist as error:
            raise GoneError from error

    async def read_snapshot(self) -> State:
        """The state for one who has none, at most `SHARED_SECONDS` old. Raises as `start` does."""
        async with self._loading:
            state, now = self._state, asyncio.get_running_loop().time()
            if state is None or now - self._state_at > SHARED_SECONDS or state.position.epoch != self.position.epoch:
                state = await self._read_state()
                if state.position.epoch != self.position.epoch or self.stale:
                    self._adopt(state)
                    self.catch_up()
                else:
                    self._state, self._state_at = state, now
            return state


def merged(entries: list[LogEntry]) -> list[LogEntry]:
    """The entries with consecutive deltas of one text made one."""
    deltas = {entry.seq for entry in entries if entry.delta}
    return [LogEntry(seq, body, seq in deltas) for seq, body in merge(entries)]
