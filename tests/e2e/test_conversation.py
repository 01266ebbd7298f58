"""The conversation page in a real browser, against real processes and a scripted model: talking, tabs, trouble."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, expect

from tests.e2e.browsing import ENDED, MARKDOWN, STREAMING, Watch, answers, body, ended, log_in, reopen, send, shoot
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)


def pasted(page: Page) -> str:
    """What the clipboard holds, pasted into the composer: Permissions-Policy denies the page to read it."""
    page.locator("#text").fill("")
    page.locator("#text").press("Control+V")
    text = page.locator("#text").input_value()
    page.locator("#text").fill("")
    return text


class TestTalking:
    def test_a_first_conversation(self, page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
        watch = Watch(page, stack.url)
        upstream.play(Script(text=MARKDOWN, rate=25))
        send(page, "Show me *everything*")
        expect(page.locator(".message-user .message-body")).to_have_text("Show me *everything*")
        # Markdown forms while it streams.
        page.locator(f"{STREAMING} .prose h2").wait_for()
        page.locator(f"{STREAMING} .prose li").nth(1).wait_for()
        expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
        answer = ended(page)
        expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}/$"))
        expect(page).to_have_title("Show me *everything* · Antiphon")
        expect(page.locator(".item-link[aria-current]")).to_have_text("Show me *everything*")
        expect(answer.locator("pre .k")).to_have_count(2)  # highlighted by the server: def, return
        expect(answer.locator("td.align-right")).to_have_text("2")
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
        live = body(page)
        page.reload()
        assert body(page) == live
        assert watch.complaints == []
        assert watch.foreign == []

    def test_a_reload_in_the_middle_loses_nothing(self, page: Page) -> None:
        send(page, "Go on [[tokens=120 rate=20]]")
        page.locator(f"{STREAMING} .prose p").wait_for()
        page.reload()
        page.locator(STREAMING).wait_for()
        ended(page)
        assert answers(page).locator(".message-body").inner_text().split() == [f"tok{n}" for n in range(120)]

    def test_stop_keeps_the_partial_text(self, page: Page) -> None:
        send(page, "On and on [[tokens=4000 rate=50]]")
        page.locator(f"{STREAMING} .prose p").wait_for()
        page.keyboard.press("Escape")
        answer = ended(page)
        expect(answer).to_have_attribute("data-status", "stopped")
        expect(answer.locator(".message-note")).to_contain_text("Stopped.")
        expect(answer.get_by_role("button", name="Continue")).to_be_visible()
        kept = body(page)
        assert "tok0" in kept
        page.reload()
        assert body(page) == kept

    def test_versions_of_questions_and_answers(self, page: Page) -> None:
        send(page, "First words [[tokens=3]]")
        answer = ended(page)
        answer.hover()
        answer.get_by_role("button", name="Regenerate").click()
        expect(page.locator(".message-assistant .versions-count")).to_have_text("2 / 2")
        ended(page)
        page.get_by_role("button", name="Previous version").last.click()
        expect(page.locator(".message-assistant .versions-count")).to_have_text("1 / 2")

        question = page.locator(".message-user")
        question.hover()
        question.get_by_role("button", name="Edit").click()
        page.get_by_label("Edit message").fill("Other words [[tokens=2]]")
        page.get_by_label("Edit message").press("Enter")
        expect(question.locator(".versions-count")).to_have_text("2 / 2")
        expect(question.locator(".message-body")).to_have_text("Other words [[tokens=2]]")
        ended(page)
        question.get_by_role("button", name="Previous version").click()
        expect(question.locator(".message-body")).to_have_text("First words [[tokens=3]]")
        expect(page.locator(".message-assistant .versions-count")).to_have_text("2 / 2")

        # A message after turning to an older branch goes on from there.
        send(page, "Further [[tokens=2]]")
        ended(page, 2)
        page.reload()
        expect(page.locator(".message-user .message-body").all()[0]).to_have_text("First words [[tokens=3]]")
        expect(answers(page)).to_have_count(2)

    def test_a_failed_answer_says_so_and_can_be_tried_again(self, page: Page, upstream: FakeOpenAI) -> None:
        upstream.play(Script(status=400, code="bad"))
        send(page, "Fail once")
        answer = ended(page)
        expect(answer).to_have_attribute("data-status", "failed")
        expect(answer.locator(".message-note p")).not_to_be_empty()
        shoot(page, "failed")
        answer.get_by_role("button", name="Try again").click()
        expect(page.locator(".versions-count").last).to_have_text("2 / 2")
        expect(page.locator(ENDED)).to_have_attribute("data-status", "complete")

    def test_answers_and_code_are_copied_as_written(
        self, page: Page, context: BrowserContext, upstream: FakeOpenAI
    ) -> None:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        upstream.play(Script(text=MARKDOWN))
        send(page, "To copy")
        answer = ended(page)
        answer.locator(".code-head").get_by_role("button", name="Copy").click()
        assert pasted(page) == "def add(a, b):\n    return a + b\n"
        answer.locator(".message-foot").get_by_role("button", name="Copy").click()
        assert pasted(page) == MARKDOWN

    def test_what_is_too_long_is_not_sent(self, page: Page) -> None:
        page.locator("#connection[hidden]").wait_for(state="attached")
        page.locator("#text").fill("x" * 50_000)
        expect(page.locator("#composer-hint")).to_contain_text("Too long: about")
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
        page.locator("#text").fill("")


class TestTabs:
    def test_two_tabs_show_the_same(self, page: Page, context: BrowserContext) -> None:
        send(page, "Begin [[tokens=3]]")
        ended(page)
        other = context.new_page()
        other.goto(page.url)
        expect(answers(other)).to_have_count(1)
        send(page, "And then [[tokens=60 rate=80]]")
        other.locator(STREAMING).wait_for()
        ended(page, 2)
        ended(other, 2)
        # Message by message: a tab opened before the answer counts as read shows a line "New messages" too.
        messages = "#transcript .message"
        assert other.locator(messages).all_inner_texts() == page.locator(messages).all_inner_texts()
        assert body(other) == body(page)

    def test_the_list_is_level_in_every_tab(self, page: Page, context: BrowserContext, stack: Stack) -> None:
        other = context.new_page()
        other.goto(f"{stack.url}/")
        other.locator("#connection[hidden]").wait_for(state="attached")  # it is told only once it is connected
        send(page, "Seen by both [[tokens=1]]")
        ended(page)
        entry = other.locator(".item", has_text="Seen by both")
        entry.wait_for()
        entry.hover()
        entry.locator(".item-menu").click()
        other.get_by_role("menuitem", name="Rename").click()
        other.get_by_role("textbox", name="Title").fill("Named elsewhere")
        other.keyboard.press("Enter")
        expect(page.locator("#title")).to_have_text("Named elsewhere")
        entry = other.locator(".item", has_text="Named elsewhere")
        entry.hover()
        entry.locator(".item-menu").click()
        other.get_by_role("menuitem", name="Delete").click()
        expect(entry).to_have_count(0)
        page.wait_for_url(f"{stack.url}/")
        other.get_by_role("button", name="Undo").click()
        expect(other.locator(".item", has_text="Named elsewhere")).to_be_visible()

    def test_logging_out_ends_every_tab(self, browser: Browser, stack: Stack) -> None:
        context = browser.new_context()
        first = log_in(context, stack, "bob")
        second = context.new_page()
        second.goto(f"{stack.url}/")
        second.locator("#text").fill("a secret draft")
        second.locator("#model").wait_for()
        first.locator(".account").click()
        with second.expect_event("framenavigated", lambda frame: "/accounts/login/" in frame.url, timeout=5_000):
            first.get_by_role("button", name="Log out").click()
        first.wait_for_url("**/accounts/login/**")
        assert first.evaluate("Object.keys(localStorage).filter((key) => key.includes('draft'))") == []
        context.close()


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

    def test_missing_text_is_fetched(self, page: Page) -> None:
        """A delta that never arrives is noticed by the next one's index."""
        dropped: list[str] = []

        def drop(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_server(data: str | bytes) -> None:
                frame = json.loads(data)
                if frame["type"] == "run.delta" and frame["index"] > 50 and not dropped:
                    dropped.append(frame["text"])
                else:
                    route.send(data)

            route.on_message(server.send)
            server.on_message(from_server)

        reopen(page, drop)
        send(page, "Whole [[tokens=100 rate=100]]")
        ended(page)
        assert dropped
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
