"""A fault proxy in front of a Redis, with the names of Toxiproxy's toxics.

    proxy = FaultProxy(redis, listen_socket); proxy.start()
    proxy.toxic("timeout")        # nothing passes any more, connections stay open: a black hole
    proxy.heal()

It runs in a thread with a loop of its own, so that a test may block. Both ends are unix sockets.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

from config.stack.valkey import PrivateValkey

TOXICS: Final = ("timeout", "timeout_downstream", "latency", "reset_peer", "down")


class FaultProxy:
    """`timeout`: bytes vanish, and new connections are taken and hear nothing. `timeout_downstream`: commands arrive,
    replies do not. `latency`: `value` seconds each way.
    `reset_peer`: open connections are aborted and new ones closed at once. `down`: nobody listens.
    """

    def __init__(self, server: PrivateValkey, listen: Path) -> None:
        self.server = server
        self.listen = listen
        self.kind = ""
        self.value = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"unix://{self.listen}"

    def start(self) -> None:
        self._thread.start()
        self._call(self._open())

    def stop(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def toxic(self, kind: str, value: float = 0.0) -> None:
        """From now on, for connections that are open and for new ones."""
        assert kind in TOXICS, kind
        self._call(self._set(kind, value))

    def heal(self) -> None:
        """New connections pass. Those that were swallowed into a `timeout` are aborted: their bytes are gone."""
        self._call(self._set("", 0.0))

    def _call(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, kind: str, value: float) -> None:
        before, self.kind, self.value = self.kind, kind, value
        if kind in ("reset_peer", "down") or before.startswith("timeout"):
            for writer in list(self._writers):
                writer.transport.abort()
        if kind == "down":
            await self._shut()
        elif before == "down":
            await self._open()

    async def _open(self) -> None:
        self.listen.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.listen), backlog=256)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.listen.unlink(missing_ok=True)

    async def _close(self) -> None:
        await self._shut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            if self.kind != "reset_peer":
                back, there = await asyncio.open_unix_connection(str(self.server.socket))
                pumps = {
                    asyncio.create_task(self._pump(reader, there)),
                    asyncio.create_task(self._pump(back, writer, downstream=True)),
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
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, downstream: bool = False
    ) -> None:
        while data := await reader.read(65536):
            if self.kind == "timeout" or (self.kind == "timeout_downstream" and downstream):
                continue  # swallowed, and never made up for
            if self.kind == "latency":
                await asyncio.sleep(self.value)
            writer.write(data)
            await writer.drain()
