"""What a socket says first, and what is read for it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from django.db import connection
from django.utils import translation

from accounts.auth import resuming, sessions
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.lib.postgresql.prepared import execute_all, rows_of_all
from chat.catalog import presets
from chat.protocol.close_codes import Close
from chat.protocol.limits import (
    FEATURES,
    HEARTBEAT_SECONDS,
    MAX_AUDIO_BYTES,
    MAX_FRAME_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL,
    WINDOW_BYTES,
)
from chat.realtime.site_banner import read_offers
from chat.realtime.together import Together


class Asked(NamedTuple):
    """A socket that opens. `resumes`: with the ticket that another has handed over."""

    user_id: uuid.UUID
    session_hash: str
    language: str
    resumes: bool


class Greeting(NamedTuple):
    """Why the socket may not be opened, of one that resumes another; what `hello` offers; and whether a ticket for the
    next socket goes with it.
    """

    refusal: Close | None
    offers: dict[str, Any]
    resumable: bool


async def greet(asked: Asked) -> Greeting:
    """Reads it together with the sockets that open at the same time. Raises a database error only where the socket
    resumes another, and so do all that are read with it.
    """
    return await (_resumed if asked.resumes else _first)(asked)


def read(sockets: Sequence[Asked]) -> list[Greeting]:
    """The greetings of sockets that all resume others, or none of them does. Sync; raises as `greet` does."""
    valid: set[int] = set()
    with_presets: set[uuid.UUID] | None = None  # unknown
    statements = [presets.HAVE_ANY]
    values: dict[str, Any] = {"readers": [one.user_id for one in sockets]}
    if sockets[0].resumes:
        statements.append(sessions.CHECK)
        values |= sessions.check_values([(one.user_id, one.session_hash) for one in sockets])
    try:
        with connection.cursor() as cursor:
            execute_all(cursor, statements, values)
            found, *checked = rows_of_all(cursor)
        with_presets = {user_id for (user_id,) in found}
        valid = sessions.valid_places(checked[0]) if checked else set()
    except OUTAGE:
        if sockets[0].resumes:
            raise
    return [
        _greeting(one, is_valid=place in valid, has_presets=_is_in(with_presets, one.user_id))
        for place, one in enumerate(sockets)
    ]


def _is_in(known: set[uuid.UUID] | None, user_id: uuid.UUID) -> bool | None:
    return None if known is None else user_id in known


def _greeting(asked: Asked, *, is_valid: bool, has_presets: bool | None) -> Greeting:
    user_id = asked.user_id
    with translation.override(asked.language):
        if not asked.resumes:
            return Greeting(None, read_offers(user_id, has_presets=has_presets), _is_resumable(user_id))
        if not resuming.is_offered(user_id):  # since that ticket was handed over: the page has to ask for one
            return Greeting(Close.GOING_AWAY, {}, False)
        if not is_valid:
            return Greeting(Close.SESSION_ENDED, {}, False)
        return Greeting(None, read_offers(user_id, has_presets=has_presets), True)


async def _read(sockets: list[Asked]) -> list[Greeting]:
    return await in_db(read, sockets)


_first: Final = Together(_read)
_resumed: Final = Together(_read)


def _is_resumable(user_id: uuid.UUID) -> bool:
    try:
        return resuming.is_offered(user_id)
    except OUTAGE:  # the socket opens all the same
        return False


def hello(connection_id: str, offers: dict[str, Any]) -> dict[str, Any]:
    """The first frame; `offers` is what `read` has found."""
    spoken = offers.get("spoken", [])
    offers = {name: value for name, value in offers.items() if name != "spoken"}
    return {
        "type": "hello",
        "protocol": PROTOCOL,
        "connection_id": connection_id,
        "heartbeat_s": HEARTBEAT_SECONDS,
        "limits": {
            "text_bytes": MAX_TEXT_BYTES,
            "frame_bytes": MAX_FRAME_BYTES,
            "audio_bytes": MAX_AUDIO_BYTES,
            "window_bytes": WINDOW_BYTES,
        },
        **offers,
        "traceparent": True,
        "features": [
            *FEATURES,
            *spoken,
        ],
    }
