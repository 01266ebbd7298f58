"""Web origins (RFC 6454 §6.1): scheme, host and port."""

from __future__ import annotations

import re
from typing import NamedTuple

_PORTS = {"http": 80, "https": 443}
_SHAPE = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9._-]*[a-z0-9_-])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


def parse_origin(text: str) -> Origin | None:
    """The origin, or None for text that is not one: `null`, or with a path, a user name or spaces. Lower case only."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else _PORTS[match["scheme"]]
    if not 0 < port < 65536:
        return None
    return Origin(match["scheme"], match["host"], port)


def plain_scheme(text: str) -> str:
    """`https` or `http` for what a proxy reports in X-Forwarded-Proto: the first entry, in any case, also wss and ws.

    Anything else is returned as it is, in lower case.
    """
    scheme = text.partition(",")[0].strip().lower()
    return {"wss": "https", "ws": "http"}.get(scheme, scheme)
