"""A first visit, with nothing in the browser's cache, is few requests and few bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, StorageState, expect

from tests.e2e.browsing import ended, send
from tests.e2e.first_visits import Visit, fill_list, watch_visit
from tests.stack import Stack

# The goal is 20 and 150. Browsers with windows load three more beside these (icon, manifest, service worker), and a
# page with files or pictures loads more, so there is room.
REQUESTS, KILOBYTES = 14, 150


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


@pytest.fixture(scope="module")
def listed(stack: Stack) -> tuple[str, str]:
    return fill_list(stack)


@pytest.fixture
def unknown(browser: Browser) -> Iterator[Page]:
    """A page of a browser that has never been here."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(("path", "button"), [("login", "Log in"), ("signup", "Create account")])
def test_the_pages_before_the_log_in(unknown: Page, stack: Stack, path: str, button: str) -> None:
    visit = watch_visit(unknown)
    unknown.goto(f"{stack.url}/accounts/{path}/", wait_until="networkidle")
    expect(unknown.get_by_role("button", name=button)).to_be_visible()
    check(visit)
    assert len(visit.requests) <= 5, visit.table()  # page, styles, two fonts, passkeys


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


def test_with_fifty_conversations(fresh: Page, stack: Stack, listed: tuple[str, str]) -> None:
    visit = watch_visit(fresh)
    fresh.goto(f"{stack.url}/", wait_until="networkidle")
    expect(fresh.locator("#model")).to_contain_text("small")
    assert fresh.locator(".item").count() >= 40
    check(visit)


def test_a_conversation_of_twenty_messages(fresh: Page, listed: tuple[str, str]) -> None:
    visit = watch_visit(fresh)
    fresh.goto(listed[0], wait_until="networkidle")
    expect(fresh.locator(".message-assistant")).to_have_count(10)
    check(visit)


def test_a_shared_page(unknown: Page, listed: tuple[str, str]) -> None:
    visit = watch_visit(unknown)
    unknown.goto(listed[1], wait_until="networkidle")
    expect(unknown.locator(".message-assistant")).to_have_count(10)
    check(visit)


def test_nothing_delays_the_first_paint(fresh: Page, stack: Stack, listed: tuple[str, str]) -> None:
    """Styles are in the page. Scripts come after it: none is asked for with a higher urgency than Low."""
    session = fresh.context.new_cdp_session(fresh)
    urgent: list[str] = []

    def note(event: dict[str, Any]) -> None:
        request = event["request"]
        if request["url"].endswith(".js") and request["initialPriority"] not in ("Low", "VeryLow"):
            urgent.append(f"{request['initialPriority']} {request['url']}")

    session.on("Network.requestWillBeSent", note)
    session.send("Network.enable")
    fresh.goto(listed[0], wait_until="networkidle")
    assert urgent == []
    blocking = fresh.evaluate("""() => performance.getEntriesByType("resource")
        .filter((entry) => entry.renderBlockingStatus === "blocking").map((entry) => entry.name)""")
    assert blocking == []
    face = "() => [...document.fonts].filter((one) => one.status === 'loaded').map((one) => one.family)"
    assert {"Inter", "Source Serif"} <= {one.strip('"') for one in fresh.evaluate(face)}, "addresses of fonts are right"


def test_from_the_second_visit_on_styles_are_a_file(browser: Browser, login: StorageState, stack: Stack) -> None:
    """Without a service worker, whose requests are for no document: pages that it loads have no style sheet in them."""
    context = browser.new_context(storage_state=login, service_workers="block")
    fresh = context.new_page()
    sheets = """() => [document.querySelectorAll("style[data-version]").length,
        document.querySelectorAll("head link[rel=stylesheet]").length]"""
    for path in ("/", "/accounts/settings/"):  # each has its own
        for seen in ([1, 0], [0, 1]):
            fresh.goto(f"{stack.url}{path}", wait_until="networkidle")
            assert fresh.evaluate(sheets) == seen, path
    visit = watch_visit(fresh)
    fresh.goto(f"{stack.url}/", wait_until="networkidle")
    assert not any(url.endswith(".css") for url in visit.requests.values()), visit.table()
    context.close()
