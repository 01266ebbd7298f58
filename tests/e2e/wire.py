"""The sockets of a page in the hands of a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, WebSocketRoute, expect


class Wire:
    """The sockets of one page. `on_send` gets each message and its socket, and says whether the server gets it too."""

    def __init__(self, on_send: Callable[[dict[str, Any], WebSocketRoute], bool]) -> None:
        self.on_send = on_send
        self.sent: list[dict[str, Any]] = []
        self.opened = 0
        self.silent = False

    def __call__(self, route: WebSocketRoute) -> None:
        self.opened += 1
        server = route.connect_to_server()

        def from_page(data: str | bytes) -> None:
            if self.silent:
                return
            frame = json.loads(data)
            if frame["type"] == "message.send":
                self.sent.append(frame)
                if not self.on_send(frame, route):
                    return
            server.send(data)

        route.on_message(from_page)
        server.on_message(lambda data: None if self.silent else route.send(data))


def connected(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "open", timeout=20_000)
