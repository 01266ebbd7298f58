"""While workers are full, a page says how many answers have their turn before its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.e2e.browsing import answers, ended, reopen, send, shoot_views

pytestmark = pytest.mark.timeout(120)

LATER = ("run.started", "run.delta", "run.done")


def test_a_waiting_answer_says_how_many_are_before_it(page: Page) -> None:
    """What a worker says is kept back until the page was looked at; then the answer comes as ever."""
    kept: list[str | bytes] = []
    asked: list[dict[str, Any]] = []
    routes: list[WebSocketRoute] = []

    def relay(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        routes.append(route)

        def from_server(data: str | bytes) -> None:
            frame = json.loads(data)
            short = not isinstance(frame, dict)
            if asked and (kept or short or frame["type"] in LATER) and (short or "seq" in frame):
                kept.append(data)
                return
            if not short and frame["type"] == "run.queued":
                asked.append(frame)
            route.send(data)

        route.on_message(server.send)
        server.on_message(from_server)

    def tell(before: int) -> None:
        named = {name: asked[0][name] for name in ("conversation_id", "run_id", "message_id")}
        routes[-1].send(json.dumps({"type": "run.position", **named, "before": before}))

    reopen(page, relay)
    send(page, "Is it my turn? [[tokens=3]]")
    words = answers(page).locator(".waiting-words")
    expect(words).to_contain_text("Waiting for a free worker…", timeout=20_000)
    tell(12)
    expect(words).to_contain_text("Waiting for a free worker: 12 answers before yours…")
    shoot_views(page, "turns-before")
    tell(1)
    expect(words).to_contain_text("Waiting for a free worker: 1 answer before yours…")
    tell(0)
    expect(words).to_contain_text("Waiting for a free worker…")
    while not any("run.done" in str(data) for data in kept):  # within the test's own time limit
        page.wait_for_timeout(50)
    for data in kept:
        routes[-1].send(data)
    expect(ended(page).locator(".message-body")).to_have_text("tok0 tok1 tok2")
