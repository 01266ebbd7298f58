"""What becomes of a message that is refused, cannot be sent, or cannot be carried, in a real browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute, expect

from tests.e2e.browsing import STREAMING, answers, ended, log_in, reopen, send, shoot
from tests.e2e.wire import Wire, connected
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)


NOTE = ".message-user .message-note"


WRITTEN = """async () => {
    const database = await new Promise((resolve) => {
        const request = indexedDB.open("antiphon", 1);
        request.onupgradeneeded = () => request.result.createObjectStore("outbox", { keyPath: "clientId" });
        request.onsuccess = () => resolve(request.result);
    });
    const waiting = await new Promise((resolve) => {
        const request = database.transaction("outbox").objectStore("outbox").count();
        request.onsuccess = () => resolve(request.result);
    });
    database.close();
    const drafts = [localStorage, sessionStorage].flatMap((one) => Object.keys(one));
    return [waiting, drafts.filter((key) => key.startsWith("antiphon.draft.")).length];
}"""


class TestLogOut:
    @pytest.mark.parametrize("path", ["/accounts/logout/", "/accounts/settings/sessions/"])
    def test_nothing_that_was_written_is_left(self, browser: Browser, stack: Stack, path: str) -> None:
        """Where the browser does not know `Clear-Site-Data`, too."""

        def drop_header(route: Route) -> None:
            if route.request.method != "POST":
                return route.continue_()
            response = route.fetch(max_redirects=0)
            kept = {name: value for name, value in response.headers.items() if name != "clear-site-data"}
            assert kept != response.headers
            return route.fulfill(response=response, headers=kept)

        context = browser.new_context()
        page = log_in(context, stack, "bob")
        reopen(page, Wire(lambda _frame, _route: False))
        connected(page)
        send(page, "Never arrives")
        page.locator("#text").fill("a draft")
        page.goto(f"{stack.url}{path}")
        assert page.evaluate(WRITTEN) == [1, 1]
        page.route("**/accounts/logout/", drop_header)
        page.get_by_role("main").get_by_role("button", name=re.compile("^Log out( on this device)?$")).click()
        page.wait_for_url("**/accounts/login/**")
        assert page.evaluate(WRITTEN) == [0, 0]
        context.close()


class TestWaiting:
    def test_a_message_waits_for_the_network_and_outlives_its_tab(
        self, page: Page, context: BrowserContext, stack: Stack
    ) -> None:
        connected(page)
        context.set_offline(True)
        page.route_web_socket("**/ws/", lambda route: route.close(code=3999))
        page.evaluate("dispatchEvent(new Event('offline'))")
        expect(page.locator("#connection")).to_have_attribute("data-state", "offline")
        send(page, "First of two [[tokens=2]]")
        expect(page.locator(".message-user[data-status=waiting]")).to_have_count(1)
        expect(page.locator(NOTE).first).to_contain_text("Waiting for a connection")
        expect(page.get_by_role("button", name="Stop the answer")).to_be_hidden()
        send(page, "Second of two [[tokens=2]]")
        expect(page.locator(".message-user[data-status=waiting]")).to_have_count(2)
        shoot(page, "waiting")
        page.wait_for_timeout(300)
        page.close()
        context.set_offline(False)
        later = context.new_page()
        later.goto(f"{stack.url}/")
        ended(later, 2)
        expect(later.locator(".message-user .message-body")).to_have_text(
            ["First of two [[tokens=2]]", "Second of two [[tokens=2]]"]
        )
        [row] = stack.sql("SELECT count(DISTINCT conversation_id) AS n FROM chat_message WHERE text LIKE '%%of two%%'")
        assert row["n"] == 1
        other = context.new_page()
        other.goto(f"{stack.url}/")
        connected(other)
        expect(other.locator(".message")).to_have_count(0)

    @pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
    def test_two_new_tabs_have_a_draft_each(
        self, page: Page, context: BrowserContext, stack: Stack, locks: bool
    ) -> None:
        """Also on plain http off this machine, where browsers have no Web Locks."""
        if not locks:
            context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
            page.reload()
        connected(page)
        page.locator("#text").fill("draft of one")
        other = context.new_page()
        other.goto(f"{stack.url}/")
        connected(other)
        expect(other.locator("#text")).to_have_value("")
        other.locator("#text").fill("draft of the other")
        for tab, draft in ((page, "draft of one"), (other, "draft of the other")):
            tab.reload()
            expect(tab.locator("#text")).to_have_value(draft)
        page.close()
        again = context.new_page()
        again.goto(f"{stack.url}/")
        expect(again.locator("#text")).to_have_value("draft of one")
        for tab in (other, again):
            tab.locator("#text").fill("")


class TestConnection:
    @pytest.mark.parametrize("body", ["<h1>Forbidden</h1>", '{"code": "forbidden", "message": "No."}'])
    def test_a_firewall_that_refuses_tickets_makes_no_circle(self, page: Page, body: str) -> None:
        loads: list[str] = []
        tries: list[int] = []

        def forbid(route: Route) -> None:
            tries.append(1)
            route.fulfill(status=403, body=body)

        page.route("**/ws/ticket/", forbid)
        page.on("framenavigated", lambda frame: loads.append(frame.url))
        page.reload()
        expect(page.locator("#connection")).to_contain_text("refuses the connection")
        page.wait_for_timeout(3_000)
        assert len(loads) == 1
        assert 2 <= len(tries) <= 10
        shoot(page, "blocked")
        page.unroute("**/ws/ticket/")
        page.get_by_role("button", name="Try now").click()
        connected(page)

    def test_a_silent_connection_is_noticed_while_an_answer_is_written(self, page: Page) -> None:
        wire = Wire(lambda _frame, _route: True)
        reopen(page, wire)
        connected(page)
        send(page, "Go on [[tokens=600 rate=30]]")
        page.locator(f"{STREAMING} .prose p").wait_for()
        wire.silent = True
        expect(page.locator("#connection")).to_contain_text("Reconnecting", timeout=10_500)
        wire.silent = False
        ended(page)
        assert answers(page).locator(".message-body").inner_text().split()[-1] == "tok599"

    def test_the_browsers_word_is_checked_within_two_seconds(self, page: Page, context: BrowserContext) -> None:
        wire = Wire(lambda _frame, _route: True)
        reopen(page, wire)
        connected(page)
        wire.silent = True
        context.set_offline(True)
        expect(page.locator("#connection")).to_contain_text("You’re offline", timeout=2_500)
        wire.silent = False
        context.set_offline(False)
        connected(page)
        expect(page.locator("#connection")).to_be_hidden()

    def test_a_subscription_over_a_limit_is_asked_for_again(self, page: Page) -> None:
        send(page, "Followed [[tokens=2]]")
        ended(page)
        asked: list[dict[str, Any]] = []

        def refuse(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_page(data: str | bytes) -> None:
                frame = json.loads(data)
                if frame["type"] == "subscribe":
                    asked.append(frame)
                    if len(asked) == 1:
                        error = {"type": "error", "code": "rate_limited", "message": "Too fast.", "retry_after": 1}
                        route.send(json.dumps({**error, "ref": frame["ref"]}))
                        return
                server.send(data)

            route.on_message(from_page)
            server.on_message(route.send)

        reopen(page, refuse)
        connected(page)
        send(page, "And on [[tokens=2]]")
        ended(page, 2)
        page.wait_for_timeout(1_200)
        assert len(asked) == 2
