"""What a request to a server is sent with."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import httpx2


class Bearer(httpx2.Auth):
    """Sends the token that is there when a request begins. An empty one is not sent."""

    def __init__(self, token: str = "") -> None:
        self.token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


@dataclass(slots=True)
class LastRefusal:
    """The last response of a server that was no success: its status, and what it says about logging in."""

    status: int = 0
    challenge: str = ""

    async def note(self, response: httpx2.Response) -> None:
        """A response hook of a client."""
        if response.status_code >= 400:
            self.status = response.status_code
            self.challenge = response.headers.get("WWW-Authenticate", "")[:2000]
