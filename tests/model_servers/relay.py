"""Passes connections on to a model server, and cuts them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

BEGINNING: Final = 16_000  # bytes: some fifty tokens of a stream

T = TypeVar("T")


class Relay:
    """Listens on a port of its own. It runs in a thread with a loop of its own, so that a test may block."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._room: int | None = None  # bytes that may still go to clients; None: any number
        self._cuts = asyncio.Event()

    def __enter__(self) -> Relay:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._pass, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hold_after(self, size: int) -> None:
        """No more than so many bytes reach clients from here on, until the next cut: however late a busy machine comes
        to it, the answer has not ended by then.
        """

        async def hold() -> None:
            self._room = size
            self._cuts.clear()

        self._call(hold())

    def cut(self) -> None:
        """Aborts every connection, on both sides. New ones are passed on."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        self._room = None
        self._cuts.set()
        for writer in list(self._open):
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self.target)
            ends.add(there)
            self._open |= ends
            pumps = {asyncio.create_task(_pump(reader, there)), asyncio.create_task(self._pump_back(back, writer))}
            _, others = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in others:
                pump.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    async def _pump_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._room is not None:
                    data, self._room = data[: self._room], max(self._room - len(data), 0)
                writer.write(data)
                await writer.drain()
                if self._room == 0:
                    await self._cuts.wait()
                    return


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
