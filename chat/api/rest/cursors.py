"""Cursors of pages: opaque to clients, so that what is in them may change."""

from __future__ import annotations

import base64
import binascii

from chat.api.errors import ApiError, invalid

MOST_CHARS = 400


def make_cursor(position: str | None) -> str | None:
    """None: there is no further page."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=") if position else None


def read_cursor(cursor: str) -> str:
    """The position in a cursor; empty for none. Raises `ApiError`."""
    if len(cursor) > MOST_CHARS:
        raise bad_cursor()
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise bad_cursor() from None


def bad_cursor() -> ApiError:
    return invalid("This is not a cursor of this list. Begin without one.", "cursor")
