"""WebSocket close codes of the protocol."""

from __future__ import annotations

import enum


class Close(enum.IntEnum):
    """Close codes. Daphne can send 1000 and 3000-4999 only. A client comes back after `reconnect` codes."""

    GOING_AWAY = 4000
    TOO_SLOW = 4001
    NO_PONG = 4002
    IDLE = 4010
    MALFORMED = 4400
    SESSION_ENDED = 4401
    ACCESS_REMOVED = 4403
    FLOOD = 4429

    @property
    def reconnect(self) -> bool:
        return self in (Close.GOING_AWAY, Close.TOO_SLOW, Close.NO_PONG, Close.IDLE)
