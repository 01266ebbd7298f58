"""Pins and temporary conversations in a real browser: by keyboard, in two tabs, over a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.browsing import STREAMING, Watch, ended, send
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)


def test_a_pin_moves_in_every_tab(page: Page, context: BrowserContext, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    send(page, "To be pinned [[tokens=1]]")
    ended(page)
    other = context.new_page()
    other.goto(f"{stack.url}/")
    entry = page.locator(".item", has_text="To be pinned")
    entry.locator(".item-menu").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Pin", exact=True)).to_be_focused()
    send(other, "A later one [[tokens=1]]")
    ended(other)
    expect(page.locator(".item", has_text="A later one")).to_be_visible()  # the list was read again beneath the menu
    page.keyboard.press("End")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    for tab in (page, other):
        expect(tab.locator(".group").first.locator("h2")).to_have_text("Pinned")
        expect(tab.locator(".group").first.locator(".item")).to_have_count(1)
        expect(tab.locator(".group").first.locator(".item-link")).to_have_text(re.compile("To be pinned"))
    expect(page.locator("#bar")).to_have_attribute("data-pinned", "")
    expect(page.locator("#announcer")).to_contain_text("Pinned")
    expect(entry.locator(".item-menu")).to_be_focused()

    # From above the conversation it comes down again; a message in between leaves it where it is.
    send(page, "More of it [[tokens=1]]")
    ended(page, 2)
    page.locator("#chat-menu").click()
    page.get_by_role("menuitem", name="Unpin").click()
    for tab in (page, other):
        expect(tab.locator(".group h2", has_text="Pinned")).to_have_count(0)
        expect(tab.locator(".item").first).to_contain_text("To be pinned")
    assert watch.complaints == []


def test_a_temporary_chat_is_marked_and_in_no_list(page: Page, context: BrowserContext, stack: Stack) -> None:
    other = context.new_page()
    other.goto(f"{stack.url}/")
    page.get_by_label("Temporary chat").focus()
    page.keyboard.press("Space")
    expect(page.locator("#temporary-note")).to_be_visible()
    expect(page.locator("#announcer")).to_contain_text("Deleted 24 hours after the last message")
    page.reload()
    expect(page.get_by_label("Temporary chat")).to_be_checked()
    send(page, "Between us [[tokens=40 rate=40]]")
    page.locator(STREAMING).wait_for()
    expect(page.locator(".temporary-mark")).to_be_visible()
    expect(page.get_by_label("Temporary chat")).to_be_hidden()
    page.reload()
    answer = ended(page)
    expect(page.locator(".temporary-mark")).to_be_visible()
    expect(answer.locator(".message-meta")).to_contain_text(re.compile("small|large"))  # also after a reload
    expect(page).to_have_title(re.compile("Between us"))
    [row] = stack.sql("SELECT temporary FROM chat_conversation WHERE title LIKE 'Between us%%'")
    assert row["temporary"] is True

    page.locator("#chat-menu").click()
    expect(page.get_by_role("menuitem", name="Pin", exact=True)).to_be_hidden()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name="Export as Markdown").click()
    assert saved.value.suggested_filename.startswith("between-us")
    send(other, "For the list [[tokens=1]]")
    ended(other)
    for tab in (page, other):
        expect(tab.locator(".item", has_text="For the list")).to_be_visible()
        expect(tab.locator(".item", has_text="Between us")).to_have_count(0)
