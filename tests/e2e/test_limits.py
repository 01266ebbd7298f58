"""What a person sees of their limits in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Browser, expect

from tests.e2e.browsing import Watch, log_in
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack


def test_what_is_left_is_shown_live_and_a_refusal_keeps_the_text(live: Callable[..., Stack], browser: Browser) -> None:
    with FakeOpenAI() as upstream:
        env = {
            "OPENAI_BASE_URL": upstream.url,
            "OPENAI_API_KEY": "sk-test",
            "CHAT_MODELS": "small",
            "RATE_MESSAGES_PER_USER": "2/8s",
        }
        stack = live(web=1, workers=1, env=env)
        stack.manage("quota", "set", "--user=alice@example.org", "--unit=messages", "--period=day", "1")
        page = log_in(browser.new_context(), stack)
        watch = Watch(page, stack.url)
        left = page.locator("#allowance")
        expect(left).to_be_hidden()
        page.locator("#text").fill("One [[tokens=3]]")
        page.keyboard.press("Enter")
        expect(left).to_contain_text("0 of 1 message left today. Resets")
        expect(page.locator(".message-assistant")).to_contain_text("tok2")
        page.locator("#text").fill("Two, which I would not like to write again")
        page.keyboard.press("Enter")
        mine = page.locator(".message-user").last
        expect(mine).to_contain_text("Two, which I would not like to write again")
        expect(mine.locator(".message-note")).to_contain_text("You have used up your quota of 1 message today.")
        page.reload()
        expect(left, "before anything is sent").to_contain_text("0 of 1 message left today. Resets")
        left.get_by_role("link", name="Usage").click()
        expect(page.get_by_role("heading", name="Remaining")).to_be_visible()
        expect(page.locator(".usage-table").first).to_contain_text("small")
        expect(page.locator(".usage-table").last).to_contain_text("One [[tokens=3]]")
        assert watch.complaints == []

        other = log_in(browser.new_context(), stack, "bob")
        expect(other.locator("#allowance")).to_be_hidden()
        for number, words in enumerate(("First [[tokens=3]]", "Second [[tokens=3]]"), 1):
            other.locator("#text").fill(words)
            other.keyboard.press("Enter")
            expect(other.locator(".message-assistant[data-status=complete]")).to_have_count(number)
        other.locator("#text").fill("Third, too quick [[tokens=3]]")
        other.keyboard.press("Enter")
        mine = other.locator(".message-user").last
        expect(mine).to_contain_text("Third, too quick")
        expect(mine.locator(".message-note")).to_contain_text(re.compile(r"\d+ s"))
        expect(other.locator(".message-assistant")).to_have_count(3, timeout=25_000)  # it went by itself
        expect(other.locator(".message-assistant").last).to_contain_text("tok2")
