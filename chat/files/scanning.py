"""ClamAV's INSTREAM protocol: a content is sent to clamd while it is read, and clamd says what it found."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Iterator
from typing import Final

import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from chat.protocol.errors import Invalid, Unavailable

_FOUND: Final = re.compile(r"stream: (?P<name>.+) FOUND")

logger = structlog.get_logger(__name__)


class Scan:
    """One content on its way to clamd."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.sendall(b"zINSTREAM\0")

    def send(self, piece: bytes) -> None:
        """Raises `Unavailable`, also where clamd refuses more (its `StreamMaxLength`)."""
        try:
            self._connection.sendall(struct.pack("!I", len(piece)) + piece)
        except OSError as error:
            raise _away(error) from error

    def result(self) -> str:
        """The name of what was found; empty if the content is clean. Raises `Unavailable`."""
        try:
            self._connection.sendall(struct.pack("!I", 0))
            answer = b""
            while not answer.endswith(b"\0") and (part := self._connection.recv(4096)):
                answer += part
        except OSError as error:
            raise _away(error) from error
        said = answer.rstrip(b"\0").decode(errors="replace").strip()
        if found := _FOUND.fullmatch(said):
            logger.warning("virus_found", name=found["name"])
            return found["name"]
        if said == "stream: OK":
            return ""
        if "size limit exceeded" in said:
            raise Invalid(_("This file is larger than what the virus scanner of this site accepts."))
        raise _away(ConnectionError(said[:200]))


@contextlib.contextmanager
def scan() -> Iterator[Scan | None]:
    """A scan by the clamd of the setting CLAMAV; None where there is none. Raises `Unavailable`."""
    if not settings.CLAMAV:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(_connect(settings.CLAMAV))
            found = Scan(connection)
        except OSError as error:
            raise _away(error) from error
        yield found


def _connect(address: str) -> socket.socket:
    if address.startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(settings.CLAMAV_SECONDS)
            made.connect(address)
        except BaseException:
            made.close()
            raise
        return made
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=settings.CLAMAV_SECONDS)


def _away(error: OSError) -> Unavailable:
    logger.error("scanner_failed", error=type(error).__name__, said=str(error)[:200])
    return Unavailable(_("Files can't be checked for viruses right now. What was uploaded is kept. Try again later."))
