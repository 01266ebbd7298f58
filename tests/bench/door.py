"""How the load client gets in: a login or a session, a ticket, then the upgrade (docs/protocol.md §1)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

import aiohttp

from tests.bench.wire import ChatSocket, open_chat

CONNECTING_AT_ONCE: Final = 16


class Door:
    """Gets chat.v1 sockets: a ticket for the session's cookie, then the upgrade."""

    def __init__(self, urls: Sequence[str], sources: int = 1) -> None:
        self.urls = urls
        self.sources = sources
        self.csrf = secrets.token_hex(16)
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=2 * CONNECTING_AT_ONCE), cookie_jar=aiohttp.DummyCookieJar()
        )
        self.opened = 0
        self.gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def ticket(self, url: str, cookie: str) -> str:
        headers = {"Cookie": cookie, "X-CSRFToken": self.csrf, "Origin": url}
        async with self.http.post(f"{url}/ws/ticket/", headers=headers) as response:
            if response.status != 200:
                raise ConnectionError(f"no ticket: {response.status} {(await response.text())[:200]}")
            ticket: str = (await response.json())["ticket"]
            return ticket

    async def login(self, email: str, password: str) -> str:
        """Logs in as a browser does; the session as a Cookie header. Raises ConnectionError when refused."""
        url = f"{self.urls[0]}/accounts/login/"
        async with self.http.get(url) as page:
            token = page.cookies["csrftoken"].value
        form = {"login": email, "password": password, "csrfmiddlewaretoken": token}
        headers = {"Cookie": f"csrftoken={token}", "Origin": self.urls[0]}
        async with self.http.post(url, data=form, headers=headers, allow_redirects=False) as answer:
            if answer.status != 302 or "sessionid" not in answer.cookies:
                raise ConnectionError(f"the login was refused: {answer.status}")
            return f"sessionid={answer.cookies['sessionid'].value}"

    async def open(self, session: str, ticket: str = "") -> ChatSocket:
        """`ticket`: one that another socket of the session has handed over."""
        async with self.gate:
            number = self.opened
            self.opened += 1
            url = self.urls[number % len(self.urls)]
            cookie = f"{session}; csrftoken={self.csrf}"
            ticket = ticket or await self.ticket(url, cookie)
            source = f"127.0.0.{2 + number % self.sources}" if self.sources > 1 else None
            return await open_chat(url, cookie, ticket, source=source)

    async def open_all(self, sessions: Sequence[str]) -> list[ChatSocket]:
        return await asyncio.gather(*(self.open(session) for session in sessions))

    async def close(self) -> None:
        await self.http.close()
