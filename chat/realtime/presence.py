"""Which users have a shared conversation open right now. Kept in Redis, where an entry that is not renewed expires.

    presence:<conversation>   sorted set, member "<user>:<connection>:<name>", score = when it expires (Redis's clock)

Only conversations with several members have entries.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from chat.eventlog import store
from chat.protocol.frames import encode

RENEW_SECONDS: Final = 30.0
ENTRY_SECONDS: Final = 75  # two renewals may get lost

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
return {changed and 1 or 0, redis.call('ZRANGE', KEYS[1], 0, -1)}
"""


class Presence:
    """One connection's presence in the shared conversations it follows. All methods raise if Redis is away."""

    def __init__(self, user_id: uuid.UUID, connection_id: str) -> None:
        self.user_id = user_id
        self.connection_id = connection_id
        self.name = ""
        self.present: set[uuid.UUID] = set()

    async def enter(self, conversation_id: uuid.UUID, name: str) -> None:
        """The connection follows a conversation from now on; `name` is shown to the others."""
        self.name = name
        self.present.add(conversation_id)
        await self._touch(conversation_id, here=True, publish=True)

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

    async def _touch(self, conversation_id: uuid.UUID, *, here: bool, publish: bool = False) -> None:
        """Writes or removes the entry. Publishes who is present if that changed, or in any case with `publish`."""
        group = store.group_name(conversation_id)
        entry = f"{self.user_id}:{self.connection_id}:{self.name}"
        key = f"presence:{conversation_id.hex}"
        layer = store.channel_layer()
        changed, entries = await layer.group_execute(group, "EVAL", _TOUCH, 1, key, entry, int(here), ENTRY_SECONDS)
        if changed or publish:
            frame = {"type": "presence", "conversation_id": str(conversation_id), "users": users(entries)}
            message = {"type": "ephemeral", "c": conversation_id.bytes, "from": "", "frame": encode(frame)}
            await layer.group_send(group, message)


def users(entries: list[bytes]) -> list[dict[str, Any]]:
    """Each user once, however many tabs they have open, ordered by id."""
    found = {}
    for entry in entries:
        user_id, _, rest = entry.decode().partition(":")
        found[user_id] = rest.partition(":")[2]
    return [{"id": user_id, "name": name} for user_id, name in sorted(found.items())]
