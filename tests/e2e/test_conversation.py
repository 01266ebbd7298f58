"""The conversation page in a real browser, against real processes and a scripted model: talking, tabs, trouble."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browsing import ENDED, MARKDOWN, STREAMING, Watch, answers, body, ended, log_in, send, shoot
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)


def pasted(page: Page, wanted: str) -> str:
    """What the clipboard holds, pasted into the composer: Permissions-Policy denies the page to read it. Waits until it
    is what is `wanted`, for the browser writes to it after the click.
    """
    text = ""
    for _ in range(50):
        page.locator("#text").fill("")
        page.locator("#text").press("Control+V")
        text = page.locator("#text").input_value()
        if text == wanted:
            break
        page.wait_for_timeout(100)
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
        expect(answer.get_by_role("button", name="Read aloud")).to_be_hidden()  # there is no text
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
        code = "def add(a, b):\n    return a + b\n"
        assert pasted(page, code) == code
        answer.locator(".message-foot").get_by_role("button", name="Copy").click()
        assert pasted(page, MARKDOWN) == MARKDOWN

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
