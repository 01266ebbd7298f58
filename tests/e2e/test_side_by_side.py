"""Two models side by side in a real browser: asked by keyboard, followed, stopped, chosen; on a phone with tabs."""

from __future__ import annotations

import os
import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.browsing import Watch, answers, ended, send, shoot
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)

PHONE = {"width": 390, "height": 844}
ACTIVE = ".beside-column[data-state=active]"


def columns(page: Page) -> Locator:
    return page.locator(".beside-column")


def column(page: Page, model: str) -> Locator:
    return columns(page).filter(has=page.locator(".beside-model", has_text=model))


def compare(page: Page, text: str) -> None:
    """Picks both models, with the keyboard alone, and asks them."""
    page.locator("#text").press("Alt+m")
    expect(page.get_by_role("option")).to_have_count(2)
    page.get_by_role("button", name="Compare models").press("Enter")
    field = page.get_by_role("combobox", name="Search models")
    expect(field).to_be_focused()
    expect(page.get_by_role("option", selected=True)).to_have_count(1)
    expect(page.get_by_role("button", name="Done")).to_be_disabled()
    other = page.get_by_role("option", selected=False).locator(".choice-name").inner_text()
    field.press_sequentially(other)
    expect(page.get_by_role("option")).to_have_count(1)
    field.press("Enter")
    shoot(page, "picker-compare")
    page.get_by_role("button", name="Done").press("Enter")
    expect(page.locator("#model")).to_contain_text("2 models")
    send(page, text)


def shoot_both(page: Page, name: str) -> None:
    if os.environ.get("PICTURES"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            shoot(page, f"{name}-{scheme}")
        page.emulate_media(color_scheme="light")


def test_both_answer_one_is_stopped_and_one_goes_on(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    compare(page, "Side by side [[tokens=150 rate=12]]")
    expect(columns(page)).to_have_count(2)
    for model in ("small", "large"):
        expect(column(page, model).locator(".message-body")).to_contain_text("tok5")
    expect(page.locator("#model")).to_contain_text(re.compile("small|large"))  # the next message asks one model again
    shoot_both(page, "streaming")
    page.reload()  # in the middle of both
    expect(page.locator(ACTIVE)).to_have_count(2)
    for model in ("small", "large"):
        expect(column(page, model).locator(".message-body")).to_contain_text(re.compile(r"^tok0 .*tok8"))
    expect(page.get_by_role("button", name="Stop all")).to_be_visible()
    page.get_by_role("button", name="Stop large").click()
    expect(column(page, "large").locator(".message-note p")).to_have_text("Stopped.")
    expect(column(page, "large").get_by_role("button", name="Continue", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stop all")).to_be_hidden()  # only one is left
    expect(column(page, "small")).to_have_attribute("data-state", "complete", timeout=60_000)
    expect(column(page, "small").locator(".message-body")).to_contain_text("tok149")
    expect(page.locator("#goes-on")).to_have_text(re.compile(r"continues with (small|large)\."))
    column(page, "large").click()  # selected: the next message would follow it
    expect(page.locator("#goes-on")).to_contain_text("continues with large.")
    shoot_both(page, "ended")
    page.get_by_role("button", name="Continue with this one: small").click()
    expect(columns(page)).to_have_count(0)
    answer = ended(page)
    expect(answer.locator(".message-body")).to_contain_text("tok149")
    expect(answer.locator(".versions-count")).to_have_text(re.compile("^[12] / 2$"))
    expect(page.locator("#model")).to_contain_text("small")
    shoot_both(page, "chosen")
    send(page, "And on [[tokens=3]]")
    ended(page, 2)
    assert upstream.chats[-1].body["model"] == "small"
    asked = [message["content"] for message in upstream.chats[-1].body["messages"] if message["role"] == "assistant"]
    assert len(asked) == 1
    assert "tok149" in asked[0]
    page.reload()
    ended(page, 2)
    other = page.locator(".versions:not([hidden]) button:enabled").first
    other.click()
    expect(answers(page)).to_have_count(1)  # the stopped one is still there, as a version
    expect(answers(page).locator(".message-note p")).to_have_text("Stopped.")
    assert watch.complaints == []


def test_another_tab_follows_and_one_stop_ends_all(page: Page, context: BrowserContext, stack: Stack) -> None:
    compare(page, "Long [[tokens=900 rate=15]]")
    expect(page.locator(ACTIVE)).to_have_count(2)
    page.wait_for_url(re.compile("/c/"))
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator(ACTIVE)).to_have_count(2)
    other.get_by_role("button", name="Stop all").click()
    for one in (page, other):
        expect(one.locator(ACTIVE)).to_have_count(0)
        expect(one.locator(".beside-column .message-note p")).to_have_text(["Stopped.", "Stopped."])
    send(other, "Next [[tokens=3]]")  # follows the selected one, in both tabs
    for one in (page, other):
        expect(columns(one)).to_have_count(0)
        ended(one, 2)


def test_on_a_phone_they_have_tabs(page: Page, stack: Stack) -> None:
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    compare(page, "On a phone [[tokens=60 rate=20]]")
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_count(2)
    expect(page.get_by_role("tabpanel")).to_have_count(1)
    page.get_by_role("button", name="Stop all").click(trial=True)  # nothing covers it
    shoot_both(page, "phone-streaming")
    expect(page.locator(ACTIVE)).to_have_count(0, timeout=60_000)
    tabs.first.press("ArrowRight")
    expect(tabs.nth(1)).to_be_focused()
    expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
    model = tabs.nth(1).inner_text()
    expect(page.get_by_role("tabpanel", name=model)).to_be_visible()
    expect(page.locator("#goes-on")).to_contain_text(f"continues with {model}.")
    shoot_both(page, "phone-ended")
    names = [tabs.nth(0).inner_text(), model]
    page.reload()  # the tabs come with the page then
    expect(tabs).to_have_text(names)
    expect(page.locator("#model")).to_contain_text(names[0])  # the selected one goes on
    tabs.nth(1).click()
    expect(page.get_by_role("tabpanel", name=model)).to_be_visible()
    expect(page.locator("#model")).to_contain_text(model)
    page.get_by_role("button", name=f"Continue with this one: {model}").click()
    expect(tabs).to_have_count(0)
    expect(ended(page).locator(".message-meta")).to_contain_text(model)
