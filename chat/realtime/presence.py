"""Which users have a shared conversation open right now. Kept in Redis, where an entry that is not renewed expires.

    presence:<conversation>        sorted set, member "<user>:<connection>:<name>", score = when it expires (Redis)
    presence-news:<conversation>   exists while a change is unannounced: the process that should do it may have ended

Only conversations with several members have entries.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog

from accounts.lib.outage import OUTAGE
from accounts.lib.per_loop import PerLoop
from chat.eventlog import store
from chat.protocol.frames import encode

RENEW_SECONDS: Final = 30.0
ENTRY_SECONDS: Final = 75  # two renewals may get lost
# Everybody's list goes to everybody. When hundreds reconnect at once, a list for each of them would be gigabytes.
PAUSE_SECONDS_EACH: Final = 0.01  # between two announcements of one process in one conversation, for each entry
MOST_PAUSE_SECONDS: Final = 5.0

logger = structlog.get_logger(__name__)

_TOUCH: Final = """
local now = tonumber(redis.call('TIME')[1])
local before = redis.call('ZCARD', KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local changed = before ~= redis.call('ZCARD', KEYS[1])
if ARGV[2] == '1' then
  changed = redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1]) == 1 or changed
else
  changed = redis.call('ZREM', KEYS[1], ARGV[1]) == 1 or changed
end
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[3]))
if changed then
  redis.call('SET', KEYS[2], 1, 'EX', tonumber(ARGV[3]))
end
return {redis.call('EXISTS', KEYS[2]), redis.call('ZRANGE', KEYS[1], 0, -1)}
"""
_READ: Final = """
redis.call('DEL', KEYS[2])
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. redis.call('TIME')[1], '+inf')
"""


class Presence:
    """One connection's presence in the shared conversations it follows. All methods raise if Redis is away.

    `show` sends the connection a frame about a conversation, if it still follows it.
    """

    def __init__(self, user_id: uuid.UUID, connection_id: str, show: Callable[[uuid.UUID, str], None]) -> None:
        self.user_id = user_id
        self.connection_id = connection_id
        self.show = show
        self.name = ""
        self.present: set[uuid.UUID] = set()

    async def enter(self, conversation_id: uuid.UUID, name: str) -> None:
        """The connection follows a conversation from now on. It is shown who is there, and the others its `name`."""
        self.name = name
        self.present.add(conversation_id)
        self.show(conversation_id, _frame(conversation_id, await self._touch(conversation_id, here=True)))

    async def leave(self, conversation_id: uuid.UUID) -> None:
        if conversation_id in self.present:
            self.present.discard(conversation_id)
            await self._touch(conversation_id, here=False)

    async def leave_all(self) -> None:
        for conversation_id in list(self.present):
            await self.leave(conversation_id)

    async def renew(self) -> None:
        """To be called every `RENEW_SECONDS`."""
        for conversation_id in list(self.present):
            await self._touch(conversation_id, here=True)

    async def _touch(self, conversation_id: uuid.UUID, *, here: bool) -> list[bytes]:
        """Writes or removes the entry, and returns all. What changed is announced to the others soon."""
        entry = f"{self.user_id}:{self.connection_id}:{self.name}"
        unannounced, entries = await _evaluate(_TOUCH, conversation_id, entry, int(here), ENTRY_SECONDS)
        if unannounced:
            announcements().announce(conversation_id)
        return list(entries)


class Announcements:
    """The lists of who is present that one process sends to everybody in a conversation.

    The first change is announced at once. Those of the pause after it, which is longer where more are present, are
    announced together when it is over.
    """

    def __init__(self) -> None:
        self._changed: dict[uuid.UUID, bool] = {}  # of the conversations that have a task: since its last announcement
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, conversation_id: uuid.UUID) -> None:
        """Who is present has changed."""
        if conversation_id not in self._changed:
            task = asyncio.create_task(self._announce(conversation_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._changed[conversation_id] = True

    async def _announce(self, conversation_id: uuid.UUID) -> None:
        group = store.group_name(conversation_id)
        try:
            while self._changed[conversation_id]:
                self._changed[conversation_id] = False
                entries = await _evaluate(_READ, conversation_id)
                frame = _frame(conversation_id, entries)
                message = {"type": "ephemeral", "c": conversation_id.bytes, "from": "", "frame": frame}
                await store.channel_layer().group_send(group, message)
                await asyncio.sleep(min(len(entries) * PAUSE_SECONDS_EACH, MOST_PAUSE_SECONDS))
        except OUTAGE as error:
            logger.warning("presence_not_announced", error=type(error).__name__)
        finally:
            del self._changed[conversation_id]


announcements: Final = PerLoop(Announcements)


async def _evaluate(script: str, conversation_id: uuid.UUID, *given: str | int) -> Any:
    keys = (f"presence:{conversation_id.hex}", f"presence-news:{conversation_id.hex}")
    layer = store.channel_layer()
    return await layer.group_execute(store.group_name(conversation_id), "EVAL", script, len(keys), *keys, *given)


def _frame(conversation_id: uuid.UUID, entries: list[bytes]) -> str:
    return encode({"type": "presence", "conversation_id": str(conversation_id), "users": users(entries)})


def users(entries: list[bytes]) -> list[dict[str, Any]]:
    """Each user once, however many tabs they have open, ordered by id."""
    found = {}
    for entry in entries:
        user_id, _, rest = entry.decode().partition(":")
        found[user_id] = rest.partition(":")[2]
    return [{"id": user_id, "name": name} for user_id, name in sorted(found.items())]
