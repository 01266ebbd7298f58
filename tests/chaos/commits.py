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
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

_TABLES: Final = rb'"?(?:chat_(?:run|step|toolcall|toolfile|message)|accounts_reservation)\b'
CHANGES: Final = re.compile(
    rb"(?:UPDATE|INSERT INTO|DELETE FROM|FROM)\s+"
    + _TABLES
    + rb"[^\x00]*(?:FOR (?:NO KEY )?UPDATE|SET|VALUES)|EXECUTE",
    re.DOTALL,
)
NAME: Final = ".s.PGSQL.5432"


class CommitProxy:
    """`commits`: of transactions that changed runs, steps, calls or answers, since `arm`. `killed`: the process that
    was killed at the `place`-th of them; 0: none was.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self.server = server / NAME
        self.folder = folder
        self.place = 0
        self.commits = 0
        self.killed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="commit-proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()
        self._call(self._open())

    def stop(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def arm(self, place: int) -> None:
        """Kills at the `place`-th commit from now on; 0: only counts."""
        self.place, self.commits, self.killed = place, 0, 0

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._listening = await asyncio.start_unix_server(self._serve, str(self.folder / NAME), backlog=256)

    async def _close(self) -> None:
        self._listening.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_unix_connection(str(self.server))
            link = _Link(self, _peer(writer))
            pumps = {
                asyncio.create_task(_pump(reader, there, link.sent)),
                asyncio.create_task(_pump(back, writer, link.received)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, there):
                if end is not None:
                    end.close()
            self._tasks.discard(task)

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

    def sent(self, data: bytes) -> None:
        self._said = self._said[-4096:] + data
        if CHANGES.search(self._said):
            self._changed, self._said = True, b""

    def received(self, data: bytes) -> None:
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


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Any) -> None:
    while data := await reader.read(65536):
        look(data)
        writer.write(data)
        await writer.drain()


def _peer(writer: asyncio.StreamWriter) -> int:
    """The process at the other end."""
    found = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", found)[0])
