"""What the tests of the API share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.stack import Stack


def body_of(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """A request for a completion."""
    return {"model": "small", "messages": [{"role": "user", "content": text}], **fields}


def ask_with(stack: Stack, token: str, text: str = "hello", **fields: Any) -> httpx.Response:
    return httpx.post(
        f"{stack.webs[0].url}/v1/chat/completions", json=body_of(text, **fields), timeout=30, trust_env=False,
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip


def eventually(is_so: Callable[[], object], seconds: float) -> None:
    """Waits until it is so. Raises `AssertionError` after `seconds`."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.1)
