"""A fault proxy in front of a Redis, with the names of Toxiproxy's toxics.

proxy = FaultProxy(redis, listen_socket); proxy.start()
proxy.toxic("timeout")        # nothing passes any more, connections stay open: a black hole
proxy.heal()
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from config.stack.valkey import PrivateValkey
from tests.chaos.proxying import Pass, UnixProxy

TOXICS: Final = ("timeout", "timeout_downstream", "latency", "reset_peer", "down")


class FaultProxy(UnixProxy):
    """`timeout`: bytes vanish, and new connections are taken and hear nothing. `timeout_downstream`: commands arrive,
    replies do not. `latency`: `value` seconds each way.
    `reset_peer`: open connections are aborted and new ones closed at once. `down`: nobody listens.
    """

    def __init__(self, server: PrivateValkey, listen: Path) -> None:
        super().__init__(server.socket, listen)
        self._server = server
        self.kind = ""
        self.value = 0.0

    @property
    def server(self) -> PrivateValkey:
        """Where new connections lead. Another one may take its place."""
        return self._server

    @server.setter
    def server(self, server: PrivateValkey) -> None:
        self._server, self.target = server, server.socket

    @property
    def url(self) -> str:
        return f"unix://{self.listen}"

    def toxic(self, kind: str, value: float = 0.0) -> None:
        """From now on, for connections that are open and for new ones."""
        assert kind in TOXICS, kind
        self.call(self._set(kind, value))

    def heal(self) -> None:
        """New connections pass. Those that were swallowed into a `timeout` are aborted: their bytes are gone."""
        self.call(self._set("", 0.0))

    def ways(self, client: asyncio.StreamWriter) -> tuple[Pass, Pass] | None:
        return None if self.kind == "reset_peer" else (self._sent, self._received)

    async def _set(self, kind: str, value: float) -> None:
        before, self.kind, self.value = self.kind, kind, value
        if kind in ("reset_peer", "down") or before.startswith("timeout"):
            for writer in list(self.writers):
                writer.transport.abort()
        if kind == "down":
            await self.shut()
        elif before == "down":
            await self.open()

    async def _sent(self, data: bytes) -> bytes:
        if self.kind == "timeout":
            return b""  # swallowed, and never made up for
        if self.kind == "latency":
            await asyncio.sleep(self.value)
        return data

    async def _received(self, data: bytes) -> bytes:
        return b"" if self.kind == "timeout_downstream" else await self._sent(data)
