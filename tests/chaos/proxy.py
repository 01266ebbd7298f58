"""A fault proxy between a client and a Redis (or any TCP-like server), with the names of Toxiproxy's toxics.

    proxy = FaultProxy(upstream_socket, listen_socket); proxy.start()
    proxy.toxic("timeout")        # nothing passes any more, connections stay open: a black hole
    proxy.heal()

It runs in a thread with a loop of its own, so that a test may block. Both ends are unix sockets here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from pathlib import Path
from typing import Final

TOXICS: Final = ("timeout", "latency", "bandwidth", "slow_close", "limit_data", "reset_peer", "down")


class FaultProxy:
    """`timeout`: bytes vanish, new connections are taken and hear nothing. `latency`: seconds each way. `bandwidth`:
    bytes a second. `slow_close`: seconds by which the end of a connection comes late. `limit_data`: bytes after which a
    connection is closed. `reset_peer`: connections are aborted. `down`: nobody listens.
    """

    def __init__(self, upstream: Path, listen: Path) -> None:
        self.upstream = upstream
        self.listen = listen
        self.kind = ""
        self.value = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._healed = asyncio.Event()
        self._healed.set()

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
        """As if nothing had been. Connections made under a `timeout` are closed, as after a failover."""
        self._call(self._set("", 0.0))

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _set(self, kind: str, value: float) -> None:
        before, self.kind, self.value = self.kind, kind, value
        if kind in ("reset_peer", "down") or (before == "timeout" and not kind):
            for writer in list(self._writers):
                _abort(writer, reset=kind == "reset_peer")
        if kind == "down":
            await self._shut()
        elif before == "down":
            await self._open()
        (self._healed.clear if kind == "timeout" else self._healed.set)()

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
            await self._healed.wait()
            back, there = await asyncio.open_unix_connection(str(self.upstream))
            await asyncio.gather(self._pump(reader, there), self._pump(back, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            if self.kind == "slow_close":
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(self.value)
            for end in (writer, there):
                if end is not None:
                    end.close()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await reader.read(65536):
            if self.kind == "timeout":
                continue  # swallowed, and never made up for
            if self.kind == "latency":
                await asyncio.sleep(self.value)
            elif self.kind == "bandwidth":
                await asyncio.sleep(len(data) / self.value)
            elif self.kind == "limit_data":
                data = data[: max(0, int(self.value) - passed)]
            writer.write(data)
            passed += len(data)
            await writer.drain()
            if self.kind == "limit_data" and passed >= self.value:
                break
        raise EOFError


def _abort(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        link: socket.socket = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
