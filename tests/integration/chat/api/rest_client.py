"""A client of the REST API, and what its tests share."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.fixtures.api_tokens import add_token
from tests.stack import Stack

ALICE = "alice@example.org"
FULL = ("conversations", "usage.read")
ENDED = ("complete", "stopped", "failed", "interrupted")


def rest(
    stack: Stack, email: str = "alice@example.org", scopes: tuple[str, ...] = FULL, **columns: Any
) -> httpx.Client:
    """A client with a new token of this user."""
    return rest_with(stack, add_token(stack, email, scopes, **columns))


def rest_with(stack: Stack, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{stack.webs[0].url}/api/v1/", headers=headers, timeout=30, trust_env=False)


def begin(client: httpx.Client, text: str = "hello", **fields: Any) -> dict[str, Any]:
    """A new conversation; what the API said of its first message."""
    made = client.post("conversations", json={"text": text, "model": "small", **fields})
    assert made.status_code == 202, made.text
    found: dict[str, Any] = made.json()
    return found


def read_answer(client: httpx.Client, accepted: dict[str, Any]) -> dict[str, Any]:
    """The answer, once it has ended. Asks seldom, because of the rate of a token."""
    for _ in range(50):
        found: dict[str, Any] = client.get(f"messages/{accepted['answer']['message_id']}").raise_for_status().json()
        if found["status"] in ENDED:
            return found
        time.sleep(0.5)
    raise AssertionError(f"the answer has not ended: {found}")


def upload(client: httpx.Client, name: str = "notes.txt", content: bytes = b"some notes") -> dict[str, Any]:
    begun = client.post("uploads", json={"name": name, "size": len(content)}).json()
    client.put(f"uploads/{begun['id']}", params={"offset": 0}, content=content).raise_for_status()
    made: dict[str, Any] = client.post(f"uploads/{begun['id']}/finish").raise_for_status().json()
    return made
