"""What a request to a server is sent with."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import httpx2

SAID_BYTES: Final = 4096  # of a refusal, that are looked at
LISTEN: Final = "subscriptions/listen"


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
    """The last response of a server to a request of ours that was no success: its status, and what it says about
    logging in. `opening`: the stream of events counts, too. Later only calls do: a notice that the server does not
    want, or a stream of events that it does not have, says nothing about a call. `forgotten`: it does not know the
    session (any more). The protocol has the status 404 for that; many servers send 400 and say it in words.
    """

    status: int = 0
    challenge: str = ""
    opening: bool = True
    forgotten: bool = False

    async def note(self, response: httpx2.Response) -> None:
        """A response hook of a client."""
        if response.status_code >= 400 and (self.opening or _is_call(response.request)):
            self.status = response.status_code
            self.challenge = response.headers.get("WWW-Authenticate", "")[:2000]
            self.forgotten = self.status == 404
            if self.status == 400 and "mcp-session-id" in response.request.headers:
                self.forgotten = b"session" in (await response.aread())[:SAID_BYTES].lower()

    def forget(self) -> None:
        """Before a call: what was refused before says nothing about it."""
        self.status, self.opening, self.forgotten = 0, False, False


def _is_call(request: httpx2.Request) -> bool:
    """Whether a request has a JSON-RPC request that waits for a result: no notice, no answer to the server, and no
    wish to be told of changes.
    """
    try:
        message = json.loads(request.content)
    except (ValueError, RecursionError, httpx2.RequestNotRead):
        return False
    return isinstance(message, dict) and "id" in message and message.get("method") not in (None, LISTEN)
