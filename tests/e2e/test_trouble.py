"""Trouble on the conversation page, in a real browser: what is said of it, and how it goes on."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.e2e.browsing import STREAMING, answers, ended, reopen, send, shoot
from tests.e2e.wire import connected
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)


class TestTrouble:
    def test_a_lost_server_is_waited_for(self, page: Page, stack: Stack) -> None:
        send(page, "Long one [[tokens=200 rate=40]]")
        page.locator(f"{STREAMING} .prose p").wait_for()
        stack.webs[0].kill(signal.SIGKILL)
        stack.webs[0].wait()
        expect(page.locator("#connection")).to_contain_text("Reconnecting")
        page.locator("#text").fill("a draft meanwhile")
        shoot(page, "reconnecting")
        stack.webs[0].restart()
        page.locator("#connection[hidden]").wait_for(state="attached", timeout=40_000)
        ended(page)
        assert answers(page).locator(".message-body").inner_text().split() == [f"tok{n}" for n in range(200)]
        page.reload()
        expect(page.locator("#text")).to_have_value("a draft meanwhile")
        page.locator("#text").fill("")

    def test_a_lost_connection_is_resumed_without_asking_for_a_ticket(self, page: Page) -> None:
        asked: list[str] = []
        routes: list[WebSocketRoute] = []

        def follow(route: WebSocketRoute) -> None:
            routes.append(route)
            route.connect_to_server()

        page.on("request", lambda request: asked.append(request.url) if "/ws/ticket/" in request.url else None)
        reopen(page, follow)
        connected(page)
        assert (len(asked), len(routes)) == (1, 1)
        routes[0].close(code=4000)
        while len(routes) < 2:  # within the test's own time limit
            page.wait_for_timeout(50)
        connected(page)
        send(page, "Here again [[tokens=2]]")
        ended(page)
        assert len(asked) == 1

    def test_a_failed_answer_names_what_finds_it_in_the_logs(self, page: Page, stack: Stack) -> None:
        send(page, "No [[status=400]]")
        answer = ended(page)
        [run] = stack.sql("SELECT trace_id FROM chat_run ORDER BY created_at DESC LIMIT 1")
        for _ in range(2):  # as it came, and as history
            expect(answer.locator(".message-meta")).to_contain_text(f"error {run['trace_id']}")
            page.reload()
            answer = ended(page)

    def test_a_message_without_an_answer_is_sent_again_once(self, page: Page, stack: Stack) -> None:
        """The server takes the first message, and its reply is lost with the connection."""
        seen: list[dict[str, Any]] = []
        lost: list[str] = []

        def cut(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_page(data: str | bytes) -> None:
                frame = json.loads(data)
                if frame["type"] == "message.send":
                    seen.append(frame)
                server.send(data)

            def from_server(data: str | bytes) -> None:
                if not lost and json.loads(data)["type"] != "hello":
                    lost.append(str(data))
                    route.close(code=4000)
                elif lost[:1] != [str(data)]:
                    route.send(data)

            route.on_message(from_page)
            server.on_message(from_server)

        reopen(page, cut)
        send(page, "Only once [[tokens=2]]")
        expect(page).to_have_url(re.compile("/c/"), timeout=20_000)
        ended(page)
        assert len(seen) >= 2
        assert len({frame["client_id"] for frame in seen}) == 1
        [trace] = {frame["traceparent"] for frame in seen}
        [row] = stack.sql("SELECT count(*) AS n FROM chat_message WHERE text = 'Only once [[tokens=2]]'")
        assert row["n"] == 1
        [run] = stack.sql(
            "SELECT trace_id FROM chat_run r JOIN chat_message m ON m.id = r.prompt_id WHERE m.text LIKE 'Only once%%'"
        )
        assert trace == f"00-{run['trace_id']}-{trace[36:52]}-01"
        expect(page.locator(".message-user")).to_have_count(1)

    @pytest.mark.parametrize("short", [False, True], ids=["whole", "short"])
    def test_missing_text_is_fetched(self, page: Page, short: bool) -> None:
        """A delta that never arrives is noticed by the next one's index, and in the short form by the length at the
        end.
        """
        dropped: list[str] = []
        kinds: set[bool] = set()

        def drop(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_server(data: str | bytes) -> None:
                frame = json.loads(data)
                if not isinstance(frame, dict):
                    kinds.add(True)
                elif frame["type"] == "hello" and not short:
                    frame["features"].remove("short_deltas")
                    data = json.dumps(frame)
                elif frame["type"] == "run.delta":
                    kinds.add(False)
                is_delta = not isinstance(frame, dict) or (frame["type"] == "run.delta" and frame["index"] > 50)
                if is_delta and not dropped:
                    dropped.append(str(data))
                else:
                    route.send(data)

            route.on_message(server.send)
            server.on_message(from_server)

        reopen(page, drop)
        send(page, "Whole [[tokens=100 rate=100]]")
        ended(page)
        assert dropped
        assert (True in kinds) is short
        assert answers(page).locator(".message-body").inner_text().split() == [f"tok{n}" for n in range(100)]

    def test_a_limit_is_waited_out_with_the_text_kept(self, page: Page) -> None:
        refused: list[str] = []

        def refuse(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_page(data: str | bytes) -> None:
                frame = json.loads(data)
                if frame["type"] == "message.send" and not refused:
                    refused.append(frame["ref"])
                    error = {
                        "type": "error",
                        "code": "rate_limited",
                        "message": "That was too quick.",
                        "retry_after": 2,
                    }
                    route.send(json.dumps({**error, "ref": frame["ref"]}))
                else:
                    server.send(data)

            route.on_message(from_page)
            server.on_message(route.send)

        reopen(page, refuse)
        send(page, "Too quick [[tokens=2]]")
        note = page.locator(".message-user .message-note p")
        expect(note).to_contain_text("That was too quick. Retrying in 2 s.")
        shoot(page, "limited")
        expect(note).to_contain_text("in 1 s.")
        ended(page)
        expect(note).to_be_empty()

    def test_what_is_refused_can_be_taken_back(self, page: Page) -> None:
        def refuse(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_page(data: str | bytes) -> None:
                frame = json.loads(data)
                if frame["type"] == "message.send":
                    error = {"type": "error", "code": "quota_exceeded", "message": "Your allowance is used up."}
                    route.send(json.dumps({**error, "ref": frame["ref"]}))
                else:
                    server.send(data)

            route.on_message(from_page)
            server.on_message(route.send)

        reopen(page, refuse)
        send(page, "Too much")
        expect(page.locator(".message-user .message-note")).to_contain_text("Your allowance is used up.")
        page.locator(".message-user").get_by_role("button", name="Edit", exact=True).click()
        expect(page.locator("#text")).to_have_value("Too much")
        expect(page.locator(".message")).to_have_count(0)

    @pytest.mark.parametrize(
        ("code", "words"), [(4400, "out of date"), (4429, "Too many connections"), (4403, "no longer")]
    )
    def test_a_final_close_is_said(self, page: Page, code: int, words: str) -> None:
        tries: list[int] = []

        def close(route: WebSocketRoute) -> None:
            tries.append(1)
            route.close(code=code)

        reopen(page, close)
        expect(page.locator("#connection")).to_contain_text(words)
        assert len(tries) == 1

    def test_offline_the_page_says_so(self, page: Page, context: BrowserContext, stack: Stack) -> None:
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        context.set_offline(True)
        page.goto(f"{stack.url}/?elsewhere", wait_until="commit")
        expect(page.get_by_role("heading")).to_have_text("You’re offline")
        context.set_offline(False)
        expect(page.locator("#text")).to_be_visible(timeout=15_000)  # it comes back by itself
