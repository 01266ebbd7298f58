"""What a socket says first, and what is read for it."""

from __future__ import annotations

import uuid
from typing import Any

from accounts.auth import resuming
from accounts.lib.outage import OUTAGE
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


def read(user_id: uuid.UUID, session_hash: str, *, resumes: bool) -> tuple[Close | None, dict[str, Any], bool]:
    """Why the socket may not be opened, of one that `resumes` another; what `hello` offers; and whether a ticket for
    the next socket goes with it. Sync; raises a database error only where the socket resumes another.
    """
    if not resumes:
        return None, read_offers(user_id), _is_resumable(user_id)
    if not resuming.is_offered(user_id):  # since that ticket was handed over: the page has to ask for one
        return Close.GOING_AWAY, {}, False
    if not resuming.may_resume(user_id, session_hash):
        return Close.SESSION_ENDED, {}, False
    return None, read_offers(user_id), True


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
