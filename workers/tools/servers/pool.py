"""The open sessions of this process with MCP servers: kept for a while, bounded, and never shared between people."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from django.conf import settings

from accounts.lib.texts import gettext_noop
from workers.tools.base import ToolError
from workers.tools.servers.credentials import Bearer
from workers.tools.servers.stored import StoredServer

if TYPE_CHECKING:
    from workers.tools.servers.mcp_client.session import McpSession

SESSIONS_AT_ONCE: Final = 16  # in use with one server: a slow one keeps no more than these
SESSIONS_OF_A_USER: Final = 8  # in use for one account, so that a few accounts do not keep all of a process
OF_USER_BUSY: Final = gettext_noop("Too many of your tool calls are under way.")
SERVER_BUSY: Final = gettext_noop("%(server)s is busy with other calls.")
ALL_BUSY: Final = gettext_noop("Too many tool servers are in use. Try again in a moment.")
_MODULE: Final = "workers.tools.servers.mcp_client"

_Key = tuple[uuid.UUID, str, uuid.UUID | None]


async def load_client(module: str) -> Any:
    """A module of the MCP client. The package takes a second to load, so it is loaded on a thread, on first use."""
    return await asyncio.to_thread(importlib.import_module, f"{_MODULE}.{module}")


class SessionPool:
    """Belongs to one event loop."""

    def __init__(self, most: int, idle_seconds: float) -> None:
        self._idle: dict[_Key, list[tuple[McpSession, float]]] = defaultdict(list)
        self._free = asyncio.Semaphore(most)
        self._of_server: dict[uuid.UUID, asyncio.Semaphore] = {}
        self._of_user: WeakValueDictionary[uuid.UUID, asyncio.Semaphore] = WeakValueDictionary()
        self._most, self._idle_seconds = most, idle_seconds
        self._in_use = 0

    @asynccontextmanager
    async def borrow(
        self, server: StoredServer, user_id: uuid.UUID | None, token: str, seconds: float, *, fresh: bool = False
    ) -> AsyncGenerator[McpSession]:
        """A session that nobody else uses, kept afterwards where it is still good. `fresh`: not one that was used.

        Raises `ToolError` when it cannot be opened within `seconds`.
        """
        of_server = self._of_server.setdefault(server.id, asyncio.Semaphore(SESSIONS_AT_ONCE))
        until = time.monotonic() + seconds
        async with AsyncExitStack() as places:
            if user_id is not None:
                of_user = self._of_user.setdefault(user_id, asyncio.Semaphore(SESSIONS_OF_A_USER))
                await places.enter_async_context(_place(of_user, until, OF_USER_BUSY))
            await places.enter_async_context(_place(of_server, until, SERVER_BUSY, server.title))
            await places.enter_async_context(_place(self._free, until, ALL_BUSY))
            self._in_use += 1
            try:
                async with self._use(server, user_id, token, seconds, fresh=fresh) as session:
                    yield session
            finally:
                self._in_use -= 1

    @asynccontextmanager
    async def _use(
        self, server: StoredServer, user_id: uuid.UUID | None, token: str, seconds: float, *, fresh: bool
    ) -> AsyncGenerator[McpSession]:
        client = await load_client("session")
        key = _key(server, user_id)
        session: McpSession | None = None if fresh else self._take(key)
        if session is None:
            self._make_room(client)
            session = client.McpSession(server, Bearer(token))
            await session.open(min(client.OPEN_SECONDS, seconds))
        session.auth.token = token
        try:
            yield session
        except BaseException:
            if session.spoiled or not session.usable:
                client.close_soon(session)
            else:
                self._keep(key, session)
            raise
        if session.usable:
            self._keep(key, session)
        else:
            client.close_soon(session)

    def _take(self, key: _Key) -> McpSession | None:
        kept = self._idle.get(key, [])
        while kept:
            session, _ = kept.pop()
            if session.usable:
                return session
        return None

    def _keep(self, key: _Key, session: McpSession) -> None:
        self._idle[key].append((session, time.monotonic()))
        asyncio.get_running_loop().call_later(self._idle_seconds + 0.1, self.close_idle)

    def _make_room(self, client: Any) -> None:
        """Closes the session that has been idle longest where there would be too many."""
        idle = [(since, key, session) for key, kept in self._idle.items() for session, since in kept]
        if self._in_use + len(idle) > self._most and idle:
            since, key, session = min(idle, key=lambda one: one[0])
            self._idle[key].remove((session, since))
            client.close_soon(session)

    def close_idle(self) -> None:
        """Closes the sessions that nobody has used for `idle_seconds`."""
        from workers.tools.servers.mcp_client.session import close_soon

        now = time.monotonic()
        for key, kept in list(self._idle.items()):
            old = [one for one in kept if now - one[1] >= self._idle_seconds or not one[0].usable]
            for one in old:
                kept.remove(one)
                close_soon(one[0])
            if not kept:
                del self._idle[key]

    async def close(self) -> None:
        """Closes every idle session, and waits for those that are being closed."""
        sessions = [session for kept in self._idle.values() for session, _ in kept]
        self._idle.clear()
        await asyncio.gather(*(session.close() for session in sessions))
        if (client := sys.modules.get(f"{_MODULE}.session")) is not None:  # else there were none
            await client.wait_closing()


@asynccontextmanager
async def _place(limit: asyncio.Semaphore, until: float, busy: str, title: str = "") -> AsyncGenerator[None]:
    """One place of `limit`. Raises `ToolError` if there is none until `until`, of the monotonic clock: the sentence
    `busy`, which may name the server `title`.
    """
    try:
        async with asyncio.timeout(max(0.1, until - time.monotonic())):
            await limit.acquire()
    except TimeoutError:
        raise ToolError(busy, {"server": title}) from None
    try:
        yield
    finally:
        limit.release()


def _key(server: StoredServer, user_id: uuid.UUID | None) -> _Key:
    """A session is used again only for the same person, and while the server is set up in the same way."""
    setup = json.dumps(
        [server.kind, server.address, dict(server.headers), dict(server.stdio), server.trusted], sort_keys=True
    )
    return server.id, hashlib.sha256(setup.encode()).hexdigest(), user_id


_pools: dict[asyncio.AbstractEventLoop, SessionPool] = {}


def session_pool() -> SessionPool:
    """The pool of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _pools:
        _pools.clear()  # of loops that have ended: a process has one
        _pools[loop] = SessionPool(settings.TOOL_SESSIONS, settings.TOOL_SESSION_IDLE_SECONDS)
    return _pools[loop]
