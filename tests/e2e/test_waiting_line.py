"""Messages that wait for an answer to end, in a real browser: on two pages, by keyboard, and as a phone shows them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import STREAMING, Watch, send, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)

SLOW = "[[tokens=40000 rate=20]]"  # it never ends by itself while a test looks at it
CHIPS = "#queue .queued"


def begin(page: Page, text: str = f"Write {SLOW}") -> str:
    """An answer in progress; the address of its conversation."""
    send(page, text)
    page.locator(STREAMING).wait_for(timeout=30_000)
    return page.url


def texts(page: Page) -> Any:
    return page.locator(f"{CHIPS} .queued-text")


def test_messages_wait_and_are_changed_on_two_pages(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    url = begin(page)
    for text in ("First of all", "And then", "Finally"):
        send(page, text)
    expect(texts(page)).to_have_text(["First of all", "And then", "Finally"])
    expect(page.locator("#queue-title")).to_have_text("3 messages waiting")
    expect(page.locator(".message-user")).to_have_count(1)
    other = page.context.new_page()
    other.goto(url)
    expect(texts(other)).to_have_text(["First of all", "And then", "Finally"])
    page.locator(CHIPS).nth(2).get_by_role("button", name="Move up").press("Enter")
    expect(texts(other)).to_have_text(["First of all", "Finally", "And then"])
    expect(page.locator(CHIPS).nth(1).get_by_role("button", name="Move up")).to_be_focused()
    other.locator(CHIPS).nth(0).get_by_role("button", name="Edit").click()
    other.locator(f"{CHIPS} textarea:visible").fill("First of everything")
    other.keyboard.press("Enter")
    expect(texts(page)).to_have_text(["First of everything", "Finally", "And then"])
    page.locator(CHIPS).nth(2).drag_to(page.locator(CHIPS).nth(0))
    expect(texts(other)).to_have_text(["And then", "First of everything", "Finally"])
    shoot_views(page, "queue")
    page.locator(CHIPS).nth(2).get_by_role("button", name="Delete").click()
    expect(texts(other)).to_have_text(["And then", "First of everything"])
    page.reload()
    expect(texts(page)).to_have_text(["And then", "First of everything"])
    page.locator("#stop").click()
    expect(page.locator(f"{CHIPS} .queued-note").first).to_have_text(
        "The answer before it was stopped.", timeout=30_000
    )
    shoot_views(page, "queue-stopped")
    expect(other.get_by_role("button", name="Send next message")).to_be_visible()
    page.get_by_role("button", name="Send next message").click()
    expect(page.locator("#queue")).to_be_hidden(timeout=40_000)
    expect(other.locator("#queue")).to_be_hidden()
    expect(page.locator(".message-user .message-body")).to_have_text(
        [f"Write {SLOW}", "And then", "First of everything"]
    )
    assert watch.complaints == []


def test_steering_stops_the_answer_and_sends(page: Page) -> None:
    begin(page)
    send(page, "Later")
    expect(texts(page)).to_have_text(["Later"])
    page.locator("#text").fill("Rather this")
    page.locator("#text").press("Control+Shift+Enter")
    expect(page.locator("#queue")).to_be_hidden(timeout=40_000)
    expect(page.locator(".message-user .message-body")).to_have_text([f"Write {SLOW}", "Rather this", "Later"])
    expect(page.locator(".message-assistant").first).to_have_attribute("data-status", "stopped")


def test_what_was_written_without_a_connection_waits_once(page: Page) -> None:
    """The page keeps it until there is a connection, and then the server does."""
    begin(page)
    page.context.set_offline(True)
    page.evaluate("for (const one of [1]) window.dispatchEvent(new Event('offline'))")
    expect(page.locator("#connection")).not_to_have_attribute("data-state", "open", timeout=30_000)
    send(page, "Written on a train")
    expect(page.locator(f"{CHIPS} .queued-note")).to_contain_text("Waiting for a connection")
    page.context.set_offline(False)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(f"{CHIPS} .queued-note")).to_be_hidden(timeout=30_000)
    expect(texts(page)).to_have_text(["Written on a train"])
    page.locator(CHIPS).get_by_role("button", name="Stop the answer and send now").click()
    expect(page.locator("#queue")).to_be_hidden(timeout=40_000)
    expect(page.locator(".message-user .message-body")).to_have_text([f"Write {SLOW}", "Written on a train"])


def test_a_temporary_chat_has_a_line(page: Page) -> None:
    page.get_by_label("Temporary chat").check()
    begin(page)
    send(page, "Not kept either")
    expect(texts(page)).to_have_text(["Not kept either"])
    page.locator(CHIPS).get_by_role("button", name="Delete").click()
    expect(page.locator("#queue")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#text")).to_have_value("Not kept either")
    page.locator("#stop").click()
    expect(page.locator(STREAMING)).to_have_count(0, timeout=30_000)


def test_a_line_behind_an_answer_that_nobody_watched_goes_on_when_somebody_wants_it(page: Page, stack: Stack) -> None:
    """The answer ends because the only page was left; what waits is there on return, with the reason and a button."""
    [plan] = stack.sql("SELECT unwatched_runs FROM accounts_plan WHERE is_default")
    stack.sql("UPDATE accounts_plan SET unwatched_runs = 'stop' WHERE is_default RETURNING id")
    try:
        url = begin(page)
        send(page, "Are you still there? [[tokens=3]]")
        expect(texts(page)).to_have_count(1)
        page.goto("about:blank")
        ended = "SELECT 1 FROM chat_run WHERE error_code = 'unwatched' AND status = 'stopped' AND conversation_id = %s"
        conversation = url.rstrip("/").rpartition("/")[2]  # answers that other tests have left are stopped as well
        deadline = time.monotonic() + 60
        while not stack.sql(ended, conversation):
            assert time.monotonic() < deadline, "the answer was not stopped"
            page.wait_for_timeout(200)
        page.goto(url)
        expect(page.locator(f"{CHIPS} .queued-note")).to_have_text(
            "The answer before it was stopped because nobody had this conversation open."
        )
        shoot_views(page, "queue-unwatched")
        page.get_by_role("button", name="Send next message").click()
        expect(page.locator("#queue")).to_be_hidden()
        expect(page.locator(".message-user .message-body").last).to_contain_text("Are you still there?")
        expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(1)
    finally:
        stack.sql("UPDATE accounts_plan SET unwatched_runs = %s WHERE is_default RETURNING id", plan["unwatched_runs"])
