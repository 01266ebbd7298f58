"""The list of conversations misses no notice: neither before its page is connected, nor while it is read again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, expect

from tests.e2e.browsing import Watch, cookies_of, send
from tests.e2e.test_members import add, begin
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack


@pytest.fixture
def dora(browser: Browser, playwright: Playwright, stack: Stack) -> Iterator[Page]:
    """A page of Dora's, who is in no conversation yet. It is not loaded."""
    email = stack.add_user("Dora")
    context = browser.new_context(storage_state=cookies_of(playwright, stack, email.partition("@")[0]))
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto("about:blank#" + email)
    yield page
    context.close()


def hold_first(page: Page, pattern: str) -> list[Route]:
    """Holds the first request of a pattern; the later ones go on."""
    held: list[Route] = []
    page.route(pattern, lambda route: route.continue_() if held else held.append(route))
    return held


def share(page: Page, dora: Page, title: str) -> None:
    """A conversation of Alice's with Dora in it."""
    begin(page, title)
    add(page, dora.url.partition("#")[2])
    expect(page.locator(".person-name")).to_have_count(2)
    page.keyboard.press("Escape")


def test_what_comes_before_the_page_is_connected(page: Page, dora: Page, stack: Stack) -> None:
    share(page, dora, "Before the socket")
    watch = Watch(dora, stack.url)
    held = hold_first(dora, "**/ws/ticket/")
    dora.goto(f"{stack.url}/")
    entry = dora.locator(".item", has_text="Before the socket")
    expect(entry).to_be_visible()
    send(page, "@Dora are you there?")
    expect(page.locator(".message-user").last).to_contain_text("are you there?")
    page.wait_for_timeout(1_000)  # the notices have been sent, to nobody
    expect(entry.locator(".mark-unread")).to_have_count(0)
    held[0].continue_()
    expect(entry.locator(".mark-unread")).to_have_text("11 unread")
    expect(entry.locator(".mention-mark")).to_be_visible()
    expect(dora).to_have_title("(1) Antiphon")
    # Nothing came in between: the server says so with an empty answer.
    with dora.expect_response("**/conversations/?count=*") as told:
        dora.reload()
    assert told.value.status == 204
    expect(entry.locator(".mark-unread")).to_have_text("11 unread")
    assert watch.complaints == []


def test_what_comes_while_the_list_is_read(page: Page, dora: Page, stack: Stack) -> None:
    share(page, dora, "While it is read")
    held = hold_first(dora, "**/conversations/?count=*")
    dora.goto(f"{stack.url}/")
    entry = dora.locator(".item", has_text="While it is read")
    for _ in range(100):
        if held:
            break
        dora.wait_for_timeout(100)
    url = held[0].request.url.replace("unless=", "was=")
    stale = held[0].fetch(url=url)  # the list as it was, whole
    send(page, "Something new")
    expect(entry.locator(".mark-unread")).to_have_text("11 unread")
    held[0].fulfill(response=stale)
    dora.wait_for_timeout(1_500)
    expect(entry.locator(".mark-unread")).to_have_text("11 unread")
