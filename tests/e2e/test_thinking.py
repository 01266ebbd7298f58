"""What the model thinks, in a real browser: live, folded, by ear and keyboard, after a reload; and what events do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Watch, answers, ended, send, shoot
from tests.e2e.frames import BEGUN, PLAY, delta, message, run
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack
from tests.unit.chat.markdown.test_rendering import HOSTILE

pytestmark = pytest.mark.timeout(180)

THOUGHT = re.compile(r"^Thought for \d+ s$")
# Notes what a screen reader is told, from the beginning of the page on.
LISTEN = """window.heard = []; new MutationObserver((changes) => changes.forEach((change) =>
    change.target.id === "announcer" && change.addedNodes.forEach((node) => window.heard.push(node.textContent))))
    .observe(document, { childList: true, subtree: true })"""


def thinking(page: Page) -> Any:
    return answers(page).last.locator("details.thinking")


def heard_of_thinking(page: Page) -> list[str]:
    return [line for line in page.evaluate("window.heard") if line.startswith(("Think", "Thought"))]


def test_thinking_is_shown_live_and_folded(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    """Seen live, reloaded in the middle of it, opened and closed by keyboard, and stopped."""
    watch = Watch(page, stack.url)
    page.add_init_script(LISTEN)
    page.reload()
    upstream.play(Script(reasoning=20, tokens=3, hang=6))  # it thinks until it is stopped
    send(page, "Think of it")
    expect(thinking(page).locator("summary")).to_have_text(re.compile(r"^Thinking….*\d+ s$"))
    expect(answers(page).last.locator(".waiting")).to_be_hidden()
    expect(thinking(page).locator(".thinking-text")).to_be_hidden()
    assert heard_of_thinking(page) == ["Thinking…"]
    page.reload()
    expect(thinking(page).locator("summary")).to_have_text(re.compile(r"^Thinking….*\d+ s$"))
    assert heard_of_thinking(page) == ["Thinking…"], "the seconds are not read out"
    thinking(page).locator("summary").focus()
    page.keyboard.press("Enter")
    expect(thinking(page).locator(".thinking-text")).to_have_text("think0 think1 think2 think3 think4 think5 ")
    page.keyboard.press("Enter")
    expect(thinking(page).locator(".thinking-text")).to_be_hidden()
    page.get_by_role("button", name="Stop the answer").click()
    answer = ended(page)
    expect(answer).to_have_attribute("data-status", "stopped")
    expect(thinking(page).locator("summary")).to_have_text(THOUGHT)
    lasted = thinking(page).locator("summary").inner_text().strip()
    assert heard_of_thinking(page) == ["Thinking…", f"{lasted}."]
    page.reload()
    expect(thinking(page).locator("summary")).to_have_text(lasted)
    thinking(page).locator("summary").click()
    expect(thinking(page).locator(".thinking-text")).to_have_text("think0 think1 think2 think3 think4 think5 ")
    assert heard_of_thinking(page) == []
    assert watch.complaints == []
    assert watch.foreign == []


def test_it_is_no_part_of_the_answer(page: Page, upstream: FakeOpenAI) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    upstream.play(Script(reasoning=6, text="The *answer* is 42.\n", rate=30))
    send(page, "Think of it")
    for _ in range(2):  # as it came, and as history
        answer = ended(page)
        expect(thinking(page).locator("summary")).to_have_text(THOUGHT)
        expect(thinking(page).locator(".thinking-text")).to_be_hidden()
        assert answer.locator(".message-body").inner_text() == "The answer is 42."
        thinking(page).locator("summary").click()
        expect(thinking(page).locator(".thinking-text")).to_contain_text("think0 think1 think2 think3 think4 think5")
        answer.get_by_role("button", name="Copy", exact=True).click()
        page.locator("#text").fill("")
        for _ in range(50):  # the clipboard is written in the background
            page.locator("#text").press("Control+V")
            if page.locator("#text").input_value():
                break
            page.wait_for_timeout(100)
        assert page.locator("#text").input_value() == "The *answer* is 42.\n"
        page.locator("#text").fill("")
        page.reload()


def test_an_answer_of_nothing_but_thinking_offers_to_try_again(page: Page, upstream: FakeOpenAI) -> None:
    upstream.play(Script(reasoning=4, tokens=0, finish="length"))
    send(page, "Think of it")
    for _ in range(2):
        answer = ended(page)
        expect(answer.locator(".message-note")).to_contain_text("length limit while it was thinking")
        expect(answer.get_by_role("button", name="Try again")).to_be_visible()
        expect(answer.get_by_role("button", name="Continue")).to_be_hidden()
        expect(thinking(page).locator("summary")).to_have_text(THOUGHT)
        page.reload()


def test_hostile_thinking_makes_nothing_that_runs_or_loads(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    hostile = "\n\n".join(HOSTILE).replace("\x00", "").replace("</think>", "")
    upstream.play(Script(text=f"<think>{hostile}</think>\n\nok", rate=2000))
    send(page, "Do your worst")
    ended(page)
    for _ in range(2):
        thinking(page).locator("summary").click()
        expect(thinking(page).locator(".thinking-text")).to_be_visible()
        harmful = ", ".join(f".thinking-text {tag}" for tag in ("img", "form", "iframe", "object", "video", "svg"))
        assert page.locator(harmful).count() == 0
        page.reload()
    assert watch.foreign == []
    assert watch.complaints == []


PICTURED = """\
The question asks for *two* things. Let me look at each:

1. the width of the line,
2. what `fold()` does with it.

If the width is 72, then `fold()` breaks before the last word."""


def test_it_fits_a_phone_and_both_themes(browser: Browser, login: Any, stack: Stack, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text=f"<think>{PICTURED}</think>\n\nIt breaks **before** the last word.", rate=200), times=1)
    address = f"{stack.url}/"
    for width in (390, 1440):
        context = browser.new_context(storage_state=login, viewport={"width": width, "height": 844})
        page = context.new_page()
        page.goto(address)
        if address == f"{stack.url}/":
            send(page, "Where does it break?")
        ended(page)
        address = page.url
        for theme in ("light", "dark"):
            page.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)
            shoot(page, f"thinking-folded-{width}-{theme}")
            thinking(page).locator("summary").click()
            expect(thinking(page).locator("li").first).to_be_visible()
            shoot(page, f"thinking-open-{width}-{theme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            thinking(page).locator("summary").click()
        context.close()


def thought(index: int, text: str, attempt: int = 1) -> dict[str, Any]:
    return {**delta(index, text, attempt), "type": "run.reasoning", "step": 0}


class TestEvents:
    def play(self, page: Page, events: list[dict[str, Any]], snapshot: Any = None) -> tuple[list[bool], dict[str, Any]]:
        played = page.evaluate(PLAY, {"events": events, "snapshot": snapshot})
        return played["whole"], played["shown"][-1]

    def test_it_is_a_text_of_its_own(self, source_page: Page) -> None:
        events = [*BEGUN, thought(0, "h\U0001f600"), thought(2, "m"), delta(0, "yes"), thought(3, "!"), delta(3, ".")]
        whole, shown = self.play(source_page, events)
        assert all(whole)
        assert (shown["thought"], shown["text"], shown["status"]) == ("h\U0001f600m!", "yes.", "streaming")
        done = run("done", text_length=4, html="<p>yes.</p>", reasoning={"length": 4, "ms": 125_400})
        whole, shown = self.play(source_page, [*events, done])
        assert all(whole)
        assert (shown["folded"], shown["thinks"], shown["words"]) == ("Thought for 2 min 5 s", False, "yes.")

    def test_told_twice_it_is_shown_once_and_a_gap_is_noticed(self, source_page: Page) -> None:
        _, shown = self.play(source_page, [*BEGUN, thought(0, "ab"), thought(0, "ab"), thought(1, "bcd")])
        assert (shown["thought"], shown["thinks"]) == ("abcd", True)
        assert self.play(source_page, [*BEGUN, thought(0, "ab"), thought(3, "d")])[0][-1] is False
        for end in (run("done", text_length=0), run("done", text_length=0, reasoning={"length": 1})):
            assert self.play(source_page, [*BEGUN, thought(0, "ab"), end])[0][-1] is False

    def test_a_new_attempt_replaces_it(self, source_page: Page) -> None:
        lost = [*BEGUN, thought(0, "lost"), run("interrupted", text_length=0, next_attempt=2)]
        assert self.play(source_page, lost)[1]["thought"] == ""
        _, shown = self.play(source_page, [*lost, run("started", attempt=2), thought(0, "kept", 2), thought(4, "late")])
        assert shown["thought"] == "kept"
        assert self.play(source_page, [*BEGUN, thought(0, "lost"), thought(0, "kept", 2)])[1]["thought"] == "kept"

    def test_a_snapshot_brings_it_level(self, source_page: Page) -> None:
        going_on = {"run_id": "r1", "message_id": "a1", "attempt": 1, "model": "m", "status": "running"}
        answer = message(
            "a1", "u1", "assistant", status="streaming", run={**going_on, "reasoning": {"text": "hm, so", "ms": 9}}
        )
        whole, shown = self.play(source_page, [*BEGUN, thought(0, "hm")], {"messages": [message("u1", None), answer]})
        assert all(whole)
        assert (shown["thought"], shown["thinks"]) == ("hm, so", True)
        ended = {
            **answer,
            "status": "complete",
            "text": "ok",
            "run": {**going_on, "reasoning": {"length": 2, "ms": 4000}},
        }
        _, shown = self.play(source_page, [*BEGUN, thought(0, "hm"), {"type": "message.updated", "message": ended}])
        assert (shown["thought"], shown["folded"]) == ("hm", "Thought for 4 s"), "the text stays where it is not told"
