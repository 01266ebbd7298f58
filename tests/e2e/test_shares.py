"""Share links in browsers: created in the sheet, read by somebody without an account, live, and revoked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Watch, send, shoot_views
from tests.e2e.test_steps import MAIL, SEARCH, Steps
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack

SECRET = "open sesame"


def create(page: Page, kind: str, *, tools: bool = False) -> str:
    """Creates a link with a password in the sheet; its address."""
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("radio", name={"live": "The conversation, live", "snapshot": "A snapshot"}[kind]).check()
    page.get_by_label("Who can open it").select_option("password")
    page.get_by_role("textbox", name="Password").fill(SECRET)
    page.get_by_label("Show what tools were given and returned").set_checked(tools)
    page.get_by_role("button", name="Create link").click()
    address = page.get_by_label("Whoever may open this link")
    expect(address).to_be_visible()
    return address.input_value()


def read(browser: Browser, address: str, stack: Stack) -> tuple[Page, Watch]:
    """The share in a browser without an account, and what that browser complains of."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    watched = Watch(page, stack.url)
    page.goto(address)
    page.get_by_label("Password").fill(SECRET)
    page.get_by_role("button", name="Read").click()
    return page, watched


def test_somebody_without_an_account_watches(page: Page, browser: Browser, stack: Stack) -> None:
    send(page, "Tell me about **rivers** [[tokens=6]]")
    expect(page.locator(".message-assistant[data-status=complete]")).to_be_visible()
    address = create(page, "live")
    shoot_views(page, "shares")
    page.keyboard.press("Escape")
    reader, watched = read(browser, address, stack)
    expect(reader.locator("h1")).to_have_text("Tell me about **rivers** [[tokens=6]]")
    expect(reader.locator("#state")).to_have_text("Live")
    expect(page.locator("#audience")).to_have_text("1 watching")
    send(page, "And about lakes [[tokens=60 rate=30]]")
    last = reader.locator(".message-assistant").nth(1)
    expect(last).to_have_attribute("data-status", "streaming")
    expect(last.locator(".message-body")).to_contain_text("tok5")
    expect(last).to_have_attribute("data-status", "complete")
    expect(last.locator(".message-body")).to_contain_text("tok59")
    expect(reader.locator(".message-author")).to_have_text(["Alice", "small", "Alice", "small"])
    assert reader.context.cookies() == []
    assert (watched.complaints, watched.foreign) == ([], [])
    shoot_views(reader, "shared-live")
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("button", name="Revoke the link").click()
    expect(reader.locator("#state")).to_have_text("This link no longer works.")
    reader.reload()
    expect(reader.locator("h1")).to_have_text("This link does not work")
    reader.context.close()


def test_tools_are_followed_live(page: Page, browser: Browser, stack: Stack, upstream: FakeOpenAI) -> None:
    """Steps, a decision and sources reach a reader as they happen; without the tick only the sources do."""
    upstream.play(Script(tokens=1, hang=60))
    send(page, "Is there light on Mars?")
    expect(page.locator(".message-assistant .message-body")).not_to_be_empty()
    full = create(page, "live", tools=True)
    page.keyboard.press("Escape")
    reader, watched = read(browser, full, stack)
    bare, _ = read(browser, create(page, "live"), stack)
    page.keyboard.press("Escape")
    for one in (reader, bare):
        expect(one.locator("#state")).to_have_text("Live")
    steps = Steps(stack)
    source = {"n": 1, "title": "Light on Mars", "url": "https://example.org/mars", "passage": "43 % of it."}
    steps.do(("begin", (SEARCH,), {}), ("progress", ("search_web", "Searching for “light on Mars”"), {}))
    line = reader.locator(".step-call", has_text="Search the web")
    expect(line.locator("> summary")).to_contain_text("Running…")
    expect(reader.locator(".call-progress")).to_have_text("Searching for “light on Mars”")
    expect(reader.locator("#announcer")).to_have_text("Using a tool: Search the web.")
    found = {"output": "Mars gets 43 % of the light.", "sources": [source], "ms": 1_240}
    steps.do(("end", ("search_web",), found), ("begin", (MAIL,), {"waiting": True}))
    expect(line.locator("> summary")).to_contain_text("1.2 s")
    waits = reader.locator(".step-call", has_text="Send a mail").locator("> summary")
    expect(waits).to_contain_text("Waiting for a person")
    line.locator("> summary").click()
    expect(line.locator(".call-output")).to_contain_text("43 % of the light")
    shoot_views(reader, "shared-live-steps")
    steps.do(("deny", ("send_mail",), {}))
    expect(waits).to_contain_text("Denied")
    page.get_by_role("button", name="Stop the answer").click()
    for one in (reader, bare):
        expect(one.locator(".message-assistant")).to_have_attribute("data-status", "stopped")
        expect(one.locator(".sources a")).to_have_text(["Light on Mars"])
        assert "Alice" not in one.locator(".message-assistant").inner_text(), "who decided is not for readers"
    expect(bare.locator(".step-call")).to_have_count(0)
    lines = reader.locator(".step-call > summary").all_inner_texts()
    reader.goto(full)
    reader.get_by_label("Password").fill(SECRET)
    reader.get_by_role("button", name="Read").click()
    expect(reader.locator(".step-call > summary")).to_have_text([re.sub(r"\s+", " ", one).strip() for one in lines])
    expect(reader.locator(".sources a")).to_have_text(["Light on Mars"])
    assert watched.complaints == []
    reader.context.close()
    bare.context.close()


def test_a_snapshot_without_javascript(page: Page, browser: Browser, stack: Stack) -> None:
    send(page, "A snapshot, please [[tokens=6]]")
    expect(page.locator(".message-assistant[data-status=complete]")).to_be_visible()
    address = create(page, "snapshot")
    page.keyboard.press("Escape")
    send(page, "Too late for it")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    context = browser.new_context(java_script_enabled=False)
    reader = context.new_page()
    reader.goto(address)
    shoot_views(reader, "shared-password")
    reader.get_by_label("Password").fill("wrong words")
    reader.get_by_role("button", name="Read").click()
    expect(reader.get_by_role("alert")).to_have_text("This password is not right.")
    reader.get_by_label("Password").fill(SECRET)
    reader.get_by_role("button", name="Read").click()
    expect(reader.locator(".message-assistant .message-body")).to_contain_text("tok5")
    assert "Too late" not in reader.content()
    shoot_views(reader, "shared-snapshot")
    context.close()


def test_ones_own_links(page: Page, stack: Stack) -> None:
    send(page, "Mine [[tokens=3]]")
    expect(page.locator(".message-assistant[data-status=complete]")).to_be_visible()
    create(page, "snapshot")
    page.get_by_role("link", name="All your links").click()
    expect(page.get_by_role("heading", name="Your links")).to_be_visible()
    shoot_views(page, "own-links")
    before = page.get_by_role("button", name="Revoke the link to read").count()
    page.get_by_role("button", name="Revoke the link to read").first.click()
    expect(page.get_by_role("status").filter(has_text="no longer works").first).to_be_attached()
    assert page.get_by_role("button", name="Revoke the link to read").count() == before - 1
