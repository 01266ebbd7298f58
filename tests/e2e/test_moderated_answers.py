"""An answer that moderation has stopped or changed: the page says so, live and after a reload, and reads none of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Watch, answers, ended, send, shoot
from tests.e2e.test_speech_playback import VOICE, words
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stack_rules import rules_of
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)

MASKED, BLOCKED, LATE = "Pagemask", "Pageblock", "Pagelate"
RULES: tuple[dict[str, Any], ...] = (
    {"name": "page mask", "action": "mask", "words": [MASKED], "notice": "No names of badgers here."},
    {"name": "page block", "action": "block", "words": [BLOCKED], "notice": "We do not explain this."},
    {"name": "page late", "action": "block", "patterns": [rf"{LATE}(?: \w+){{3,8}} ends"]},
)


@pytest.fixture(scope="module", autouse=True)
def _rules(stack: Stack) -> Iterator[None]:
    with rules_of(stack, *RULES):
        yield


@pytest.fixture
def ruled(page: Page) -> Page:
    """Once the rules are in force."""
    until = time.monotonic() + 60
    count = 0
    while time.monotonic() < until:
        count += 1
        send(page, f'Probe [[text="A {MASKED} is."]]')
        if "***" in ended(page, count).inner_text():
            page.goto(page.url.partition("/c/")[0])
            return page
    raise AssertionError("the rules are not in force")


def note(page: Page) -> Any:
    return answers(page).last.locator(".message-note")


def test_an_answer_that_was_stopped_says_so(ruled: Page, browser: Browser, login: Any, stack: Stack) -> None:
    page = ruled
    watch = Watch(page, stack.url)
    send(page, f'Tell me [[text="This can be said. {BLOCKED} cannot." rate=20]]')
    for live in (True, False):
        answer = ended(page)
        expect(answer).to_have_attribute("data-status", "stopped")
        expect(answer.locator(".message-body")).to_have_text("This can be said.")
        expect(note(page).locator("p")).to_have_text("Stopped by this site's rules: We do not explain this.")
        expect(note(page).get_by_role("link", name="Appeal")).to_have_attribute("href", "/cases/")
        expect(note(page).get_by_role("button", name="Try again")).to_be_visible()
        expect(note(page).get_by_role("button", name="Continue")).to_be_hidden()
        if live:
            shoot(page, "stopped-desktop-light")
            page.reload()
    for scheme in ("light", "dark"):
        phone = browser.new_context(
            storage_state=login, viewport={"width": 390, "height": 844}, color_scheme=scheme,
        )  # fmt: skip
        small = phone.new_page()
        small.goto(page.url)
        expect(note(small).get_by_role("link", name="Appeal")).to_be_visible()
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert small.evaluate(overflow) <= 0
        shoot(small, f"stopped-phone-{scheme}")
        phone.close()
    page.emulate_media(color_scheme="dark")
    shoot(page, "stopped-desktop-dark")
    assert watch.complaints == []


def test_a_masked_answer_has_a_small_note(ruled: Page, stack: Stack) -> None:
    page = ruled
    send(page, f'Tell me [[text="It is a {MASKED}, as you know."]]')
    for live in (True, False):
        answer = ended(page)
        expect(answer).to_have_attribute("data-status", "complete")
        expect(answer.locator(".message-body")).to_have_text("It is a ***, as you know.")
        expect(note(page).locator("p")).to_have_text("No names of badgers here.")
        expect(note(page).get_by_role("link", name="Appeal")).to_be_visible()
        expect(note(page).get_by_role("button", name="Try again")).to_be_hidden()
        if live:
            page.reload()
    shoot(page, "masked-desktop-light")
    page.set_viewport_size({"width": 390, "height": 844})
    shoot(page, "masked-phone-light")
    page.emulate_media(color_scheme="dark")
    shoot(page, "masked-phone-dark")
    page.set_viewport_size({"width": 1280, "height": 800})
    shoot(page, "masked-desktop-dark")


def test_what_was_withdrawn_leaves_the_page_and_the_voice(ruled: Page, upstream: FakeOpenAI) -> None:
    """The beginning of a late hit is shown and read aloud; then it is gone, and no more of it is read."""
    page = ruled
    page.context.add_init_script(path=VOICE)
    page.reload()
    page.get_by_role("button", name="Read answers aloud").click()
    hit = " ".join(f"word{number}" for number in range(6))
    deltas = [{"content": f"First this. Then {LATE} "}, *({"content": f"{one} "} for one in hit.split())]
    deltas += [{"content": "ends here. "}, {"content": "And on. "}]
    events = [f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta}]})}" for delta in deltas]
    size = max(map(len, events))
    body = "".join(f"{event.ljust(size)}\n\n" for event in events)
    upstream.play(Script(body="raw", text=body, split=size + 2, drip=0.15))
    send(page, "Tell me")
    expect(answers(page).last.locator(".message-body")).to_contain_text(LATE)
    expect(note(page).locator("p")).to_have_text("This answer was stopped by this site's rules.")
    expect(answers(page).last.locator(".message-body")).to_have_text("First this. Then")
    assert LATE not in page.locator("body").inner_text()
    assert LATE not in " ".join(words(page))
    expect(page.locator("#reading")).to_be_hidden()
