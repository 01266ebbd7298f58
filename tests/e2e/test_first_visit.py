"""A first visit, with nothing in the browser's cache, is few requests and few bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Response, StorageState, expect

from tests.e2e.browsing import ended, send
from tests.e2e.first_visits import Visit, watch_visit
from tests.stack import Stack

REQUESTS, KILOBYTES = 20, 150


@pytest.fixture
def fresh(browser: Browser, login: StorageState) -> Iterator[Page]:
    """A page of Alice's in a context without a cache."""
    context = browser.new_context(storage_state=login)
    yield context.new_page()
    context.close()


def check(visit: Visit) -> None:
    assert visit.bytes, "nothing was counted"
    assert len(visit.requests) <= REQUESTS, visit.table()
    assert visit.kilobytes <= KILOBYTES, visit.table()
    print(f"{len(visit.requests)} requests, {visit.kilobytes:.0f} KB\n{visit.table()}")


def test_the_log_in_page(browser: Browser, stack: Stack) -> None:
    context = browser.new_context()
    page = context.new_page()
    visit = watch_visit(page)
    page.goto(f"{stack.url}/accounts/login/", wait_until="networkidle")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    check(visit)
    context.close()


def test_a_new_conversation(fresh: Page, stack: Stack) -> None:
    visit = watch_visit(fresh)
    fresh.goto(f"{stack.url}/", wait_until="networkidle")
    expect(fresh.locator("#model")).to_contain_text("small")
    check(visit)


def test_a_conversation_with_messages(fresh: Page, page: Page, stack: Stack) -> None:
    for number in (1, 2):
        send(page, "Tell me a story [[tokens=200 rate=1000]]")
        ended(page, number)
    visit = watch_visit(fresh)
    fresh.goto(page.url, wait_until="networkidle")
    expect(fresh.locator(".message-assistant")).to_have_count(2)
    check(visit)


def test_static_files_are_kept_and_pages_are_compressed(fresh: Page, stack: Stack) -> None:
    """Files have a hash in their names, so browsers keep them; text is sent compressed."""
    found: dict[str, dict[str, str]] = {}

    def note(response: Response) -> None:
        found.setdefault(response.url, response.all_headers())

    fresh.on("response", note)
    fresh.goto(f"{stack.url}/", wait_until="networkidle")
    files = {url: headers for url, headers in found.items() if "/static/" in url}
    assert len(files) > 5, found
    for url, headers in files.items():
        assert headers["cache-control"] == "max-age=315360000, public, immutable", url
        if not url.endswith(".woff2"):
            assert headers["content-encoding"] == "br", url
    assert found[f"{stack.url}/"]["content-encoding"] == "gzip"
    assert found[f"{stack.url}/"]["vary"].lower().count("accept-encoding") == 1
