"""All who watch one conversation in this process: the bytes of each event are made once for all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from accounts.auth.revocation import session_group, user_group
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.conversations.snapshot import State
from chat.eventlog import store
from chat.eventlog.replay import LogEntry
from chat.protocol.commands import Position
from chat.protocol.errors import Unavailable
from chat.realtime.watching.checks import Reader, find_ended, have_rivals
from chat.realtime.watching.follower import READ_LIMIT, Follower, GoneError, merged
from chat.realtime.watching.frames import Frame, event_frame
from chat.realtime.watching.watcher import Watcher
from chat.shares.shaping import Look, shape_event, shape_message
from chat.telemetry import metrics

SNAPSHOT_BYTES: Final = 192 * 1024  # of texts
TRIES: Final = 20

logger = structlog.get_logger(__name__)


class Hub(Follower):
    """Those who watch one conversation. `on_size` is called when their number changes."""

    def __init__(self, conversation_id: uuid.UUID, on_size: Callable[[Hub], None]) -> None:
        super().__init__(conversation_id)
        self.watchers: dict[Look, set[Watcher]] = {}
        self.links: set[uuid.UUID] = set()  # by which somebody watches or watched
        self.users = 0  # with those on their way
        self.checked_at = asyncio.get_running_loop().time()
        self._on_size = on_size

    def everybody(self) -> list[Watcher]:
        return [watcher for watchers in self.watchers.values() for watcher in watchers]

    # --- who comes and goes -------------------------------------------------------------------------------------

    async def join(self, watcher: Watcher, last: Position | None, since: float) -> None:
        """Sends what the reader missed after `last`, or a snapshot, and from then on every event. `since`: the loop's
        time when it was checked that the reader may read.
        """
        if watcher.reader is not None:
            for group in _groups(watcher.reader):
                await store.channel_layer().group_add(group, self.channel)
        await self._bring_up(watcher, last)
        self._add(watcher, since)

    def _add(self, watcher: Watcher, since: float) -> None:
        if watcher.ended.done():
            return
        self.watchers.setdefault(watcher.look, set()).add(watcher)
        self.links.add(watcher.link_id)
        self._on_size(self)
        if max(self.started_at, self.changed_at) >= since:
            self.spawn(self.check())  # its access may have ended meanwhile

    async def leave(self, watcher: Watcher) -> None:
        """The reader is gone."""
        watcher.end()
        self.watchers.get(watcher.look, set()).discard(watcher)
        self._on_size(self)
        if watcher.reader is not None and all(one.reader != watcher.reader for one in self.everybody()):
            for group in _groups(watcher.reader):
                await store.channel_layer().group_discard(group, self.channel)

    async def resume(self, watcher: Watcher) -> None:
        """A reader that did not keep up has read what waited: it gets what it missed, and nothing else before."""
        began = asyncio.get_running_loop().time()
        self.watchers.get(watcher.look, set()).discard(watcher)
        since, watcher.behind_since = watcher.behind_since, None
        try:
            await self._bring_up(watcher, watcher.position)
        except (*OUTAGE, Unavailable, GoneError) as error:
            watcher.behind_since = since
            logger.warning("watcher_not_resumed", error=type(error).__name__)
        finally:
            self._add(watcher, began)

    async def _bring_up(self, watcher: Watcher, last: Position | None) -> None:
        """Returns with the reader at the hub's position or after it, without a pause since; or with one that does not
        keep up. Raises `Unavailable`.
        """
        for _ in range(TRIES):
            if last is None:
                state = await self.read_snapshot()
                watcher.write(_snapshot_frame(state, watcher.look))
                metrics.resumes["snapshot"] += 1
                last = state.position
            missed = await self._read_missed(last)
            if missed is None:
                last = None
                continue
            watcher.position = last
            for at, frame in self._frames(missed, watcher.look):
                watcher.put(frame, at)
                if watcher.behind_since is not None:
                    return
            if missed:
                last = watcher.position = Position(last.epoch, missed[-1].seq)
            if last.epoch == self.position.epoch and last.seq >= self.position.seq:
                return
        raise Unavailable

    async def _read_missed(self, last: Position) -> list[LogEntry] | None:
        """The events after `last` that the hub has passed on. None if a reader needs a snapshot: the log does not have
        them, or what the reader has is of another branch.
        """
        path = self.path
        replay = await store.read(self.conversation_id, last, limit=READ_LIMIT)
        if replay.entries is None or replay.position.epoch != self.position.epoch:
            return None
        missed = [entry for entry in replay.entries if entry.seq <= self.position.seq]  # others come live
        created = self.path.created_in(missed)
        if created is None:
            return None
        if created:
            rivals: bool = await in_db(have_rivals, self.conversation_id, created, set(path.messages))
            if rivals:
                return None
        return None if self.stale or path is not self.path else missed

    def _frames(self, entries: list[LogEntry], look: Look) -> list[tuple[Position, Frame]]:
        """What a reader missed, in few events."""
        frames = []
        for entry in merged(entries):
            event = msgspec.json.decode(entry.body)
            if "run_id" in event and event["run_id"] not in self.path.runs:
                continue
            if event["type"] == "message.updated" and event["message"]["id"] not in self.path.messages:
                continue
            if (shown := shape_event(event, look)) is not None:
                at = Position(self.position.epoch, entry.seq)
                frames.append((at, event_frame(shown, at)))
        return frames

    # --- what is passed on --------------------------------------------------------------------------------------

    def on_event(self, event: dict[str, Any], at: Position) -> None:
        for look, watchers in self.watchers.items():
            if watchers and (shown := shape_event(event, look)) is not None:
                frame = event_frame(shown, at)
                for watcher in watchers:
                    watcher.put(frame, at)

    def on_snapshot(self, state: State) -> None:
        metrics.counted.resets += 1
        for look, watchers in self.watchers.items():
            if watchers:
                frame = _snapshot_frame(state, look)
                for watcher in watchers:
                    watcher.position = Position("", 0)
                    watcher.put(frame, state.position)

    # --- links that end -----------------------------------------------------------------------------------------

    async def on_change(self) -> None:
        await self.check()

    async def check(self) -> None:
        """Ends the streams of those who may no longer read. If PostgreSQL is away, it is tried again later."""
        everybody = self.everybody()
        self.checked_at = asyncio.get_running_loop().time()
        if not everybody:
            return
        links = {watcher.link_id for watcher in everybody}
        readers = {watcher.reader for watcher in everybody if watcher.reader is not None}
        try:
            ended = await in_db(find_ended, links, readers)
        except OUTAGE as error:
            logger.warning("shares_not_checked", error=type(error).__name__)
            return
        for watcher in everybody:
            if watcher.link_id in ended.links:
                watcher.end(LINK_ENDED)
            elif watcher.reader in ended.readers:
                watcher.end(LOGGED_OUT)


def _groups(reader: Reader) -> tuple[str, str]:
    return user_group(reader[0]), session_group(reader[1])


def _snapshot_frame(state: State, look: Look) -> Frame:
    """The newest messages, as many as fit."""
    kept: list[dict[str, Any]] = []
    size = 0
    for message in reversed(state.messages):
        size += len(message["text"].encode()) + len((message["html"] or "").encode())
        if kept and size > SNAPSHOT_BYTES:
            break
        kept.append(shape_message(message, look))
    body = {
        "type": "snapshot",
        "title": state.conversation.title,
        "messages": kept[::-1],
        "has_more": state.has_more or len(kept) < len(state.messages),
    }
    return event_frame(body, state.position, name="snapshot")


def _end(reason: str) -> Frame:
    return event_frame({"type": "end", "reason": reason}, name="end")


LINK_ENDED: Final = _end("link_ended")
LOGGED_OUT: Final = _end("logged_out")
