"""WebSocket close codes of the protocol, each with what a client does after it. The page gets this list rendered in."""

from __future__ import annotations

import enum
from typing import Any

from accounts.lib.texts import gettext_noop


class AfterClose(enum.StrEnum):
    """What a client does when a socket closes. Codes that are not listed here (1006, 1012) ask for `RECONNECT`."""

    RECONNECT = "reconnect"  # with a random delay, and resume
    REST = "rest"  # reconnect when the page is used again
    LOG_IN = "login"
    STOP = "stop"  # and show the code's message
    LEAVE = "leave"  # the same, and keep nothing of what was shown


class Close(enum.IntEnum):
    """Close codes. Daphne can only send 1000 and 3000-4999."""

    after: AfterClose
    message: str  # for the user, where the client stops

    GOING_AWAY = 4000, AfterClose.RECONNECT
    TOO_SLOW = 4001, AfterClose.RECONNECT
    NO_PONG = 4002, AfterClose.RECONNECT
    IDLE = 4010, AfterClose.REST
    MALFORMED = 4400, AfterClose.STOP, gettext_noop("This page is out of date. Reload it to continue.")
    SESSION_ENDED = 4401, AfterClose.LOG_IN
    ACCESS_REMOVED = 4403, AfterClose.LEAVE, gettext_noop("You no longer have access to this conversation.")
    FLOOD = 4429, AfterClose.STOP, gettext_noop("Too many connections. Close some tabs, then try again.")

    def __new__(cls, code: int, after: AfterClose, message: str = "") -> Close:
        member = int.__new__(cls, code)
        member._value_ = code
        member.after = after
        member.message = message
        return member


def describe_close_codes() -> dict[str, dict[str, Any]]:
    """What the page needs of each code, by its number."""
    return {str(code.value): {"after": code.after.value, "message": code.message} for code in Close}
