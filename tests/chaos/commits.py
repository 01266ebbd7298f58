"""A proxy in front of PostgreSQL that kills the process whose commit is the n-th of those that change runs.

The commit has happened, and the process has not heard of it: the moment at which most is lost.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import struct
from pathlib import Path
from typing import Final

from tests.chaos.proxying import Pass, UnixProxy

_TABLES: Final = rb'"?(?:chat_(?:run|step|toolcall|toolfile|message)|accounts_reservation)\b'
CHANGES: Final = re.compile(
    rb"(?:UPDATE|INSERT INTO|DELETE FROM|FROM)\s+"
    + _TABLES
    + rb"[^\x00]*(?:FOR (?:NO KEY )?UPDATE|SET|VALUES)|EXECUTE",
    re.DOTALL,
)
NAME: Final = ".s.PGSQL.5432"


class CommitProxy(UnixProxy):
    """`commits`: of transactions that changed runs, steps, calls or answers, since `arm`. `killed`: the process that
    was killed at the `place`-th of them; 0: none was.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        super().__init__(server / NAME, folder / NAME)
        self.place = 0
        self.commits = 0
        self.killed = 0

    def arm(self, place: int) -> None:
        """Kills at the `place`-th commit from now on; 0: only counts."""
        self.place, self.commits, self.killed = place, 0, 0

    def ways(self, client: asyncio.StreamWriter) -> tuple[Pass, Pass]:
        link = _Link(self, _peer(client))
        return link.sent, link.received

    def note_commit(self, pid: int) -> None:
        self.commits += 1
        if self.place and self.commits == self.place and not self.killed:
            self.killed = pid
            os.kill(pid, signal.SIGKILL)


class _Link:
    """What one connection has changed since it last had no transaction."""

    def __init__(self, proxy: CommitProxy, pid: int) -> None:
        self._proxy = proxy
        self._pid = pid
        self._said = b""
        self._changed = False
        self._answered = b""  # of a message that has not come whole
        self._done = False  # something was committed in this round

    async def sent(self, data: bytes) -> bytes:
        self._said = self._said[-4096:] + data
        if CHANGES.search(self._said):
            self._changed, self._said = True, b""
        return data

    async def received(self, data: bytes) -> bytes:
        self._note(data)
        return data

    def _note(self, data: bytes) -> None:
        self._answered += data
        if self._answered[:1] == b"N" and len(self._answered) == 1:  # no TLS
            self._answered = b""
            return
        while len(self._answered) >= 5:
            kind, size = self._answered[:1], struct.unpack("!I", self._answered[1:5])[0] + 1
            if len(self._answered) < size:
                return
            body, self._answered = self._answered[5:size], self._answered[size:]
            if kind == b"C":
                self._done = not body.startswith((b"ROLLBACK", b"SELECT", b"SET", b"BEGIN"))
            elif kind == b"Z" and body == b"I":
                if self._changed and self._done:
                    self._proxy.note_commit(self._pid)
                self._changed = self._done = False


def _peer(writer: asyncio.StreamWriter) -> int:
    """The process at the other end."""
    found = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", found)[0])
