"""A proxy between two unix sockets, for the faults that tests make there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

Pass = Callable[[bytes], Awaitable[bytes]]
"""What of the bytes that arrived goes on."""


class UnixProxy:
    """Listens at `listen` and connects to `server`. It runs in a thread with a loop of its own, so that a test may
    block. `writers`: the open connections of clients.
    """

    def __init__(self, server: Path, listen: Path) -> None:
        self.target = server
        self.listen = listen
        self.writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def ways(self, client: asyncio.StreamWriter) -> tuple[Pass, Pass] | None:
        """What passes from this client to the server, and back. None: the client is refused."""
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()
        self.call(self.open())

    def stop(self) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` on the proxy's loop, and waits for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def open(self) -> None:
        self.listen.unlink(missing_ok=True)
        self._listening = await asyncio.start_unix_server(self._serve, str(self.listen), backlog=256)

    async def shut(self) -> None:
        """Nobody listens any more. Open connections stay."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self.listen.unlink(missing_ok=True)

    async def _close(self) -> None:
        await self.shut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.writers.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            if (ways := self.ways(writer)) is not None:
                back, there = await asyncio.open_unix_connection(str(self.target))
                pumps = {
                    asyncio.create_task(_pump(reader, there, ways[0])),
                    asyncio.create_task(_pump(back, writer, ways[1])),
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
            self.writers.discard(writer)
            self._tasks.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, let_pass: Pass) -> None:
    while data := await reader.read(65536):
        if passed := await let_pass(data):
            writer.write(passed)
            await writer.drain()
