"""What the WebSocket recognisers have in common: a real server on a free port, a key, and ways to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.fakes.asr_ears import Ears


class SocketServer:
    """`script`: "" works; "error", "garbage", "silent" and what a subclass knows do not. Changed at any time."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.script = ""
        self.url = ""
        self.connections: set[ServerConnection] = set()
        self.opened = 0
        self.keeps_place = False  # a new connection goes on with the sentence that the last one was in
        self._ears: Ears | None = None

    @classmethod
    @asynccontextmanager
    async def run(cls, key: str) -> AsyncGenerator[Self]:
        server = cls(key)
        async with serve(server._serve, "127.0.0.1", 0, process_request=server._request, close_timeout=0.2) as running:
            server.url = f"ws://127.0.0.1:{next(iter(running.sockets)).getsockname()[1]}"
            yield server

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        return self.refuse(connection, request)

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        raise NotImplementedError

    async def serve(self, connection: ServerConnection) -> None:
        raise NotImplementedError

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        self.opened += 1
        try:
            await self.serve(connection)
        except ConnectionClosed:
            return  # the client's way of leaving is not ours to judge here
        finally:
            self.connections.discard(connection)

    def listen(self, **options: Any) -> Ears:
        """Ears for a new connection."""
        place = self._ears.utterances if self.keeps_place and self._ears is not None else 0
        self._ears = Ears(utterances=place, **options)
        return self._ears

    async def messages(self, connection: ServerConnection) -> AsyncIterator[str | bytes]:
        """What the client sends, until the script says otherwise."""
        async for message in connection:
            if self.script == "silent":
                continue
            if self.script == "garbage":
                await connection.send("this is no JSON")
            yield message

    async def cut(self) -> None:
        """Every connection ends without a goodbye."""
        doomed = set(self.connections)
        for connection in doomed:
            connection.transport.abort()
        while doomed & self.connections:
            await asyncio.sleep(0.01)
