"""Playwright, a browser, and pages of Alice's and Bob's in the shared stack (tests/fixtures/stacks.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, StorageState, expect, sync_playwright

from tests.conftest import FAILED
from tests.e2e.bare_page import open_bare_page
from tests.e2e.browsing import cookies_of
from tests.e2e.contexts import Browsers
from tests.stack import Stack

expect.set_options(timeout=20_000)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Its process of Node, which takes longer to start than a browser. It ends with this folder's tests: until then
    the thread counts as one that runs an event loop, and asynchronous tests would fail.
    """
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browsers(playwright: Playwright) -> Iterator[Browsers]:
    """Chromium, with a kept context of Alice's and one of Bob's."""
    made = Browsers(playwright)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(browsers: Browsers) -> Iterator[Browser]:
    """One for all files. What contexts a file leaves open are closed after it."""
    yield browsers.running()
    browsers.close_left_contexts()


@pytest.fixture(scope="module")
def bare_page(browser: Browser) -> Iterator[Page]:
    """A page with the site's modules, without a stack."""
    page = open_bare_page(browser)
    yield page
    page.close()


@pytest.fixture(scope="module")
def login(playwright: Playwright, stack: Stack) -> StorageState:
    """Alice's cookies: logging in costs a second and counts against the login's rate limit."""
    return cookies_of(playwright, stack)


@pytest.fixture
def context(
    request: pytest.FixtureRequest, browsers: Browsers, browser: Browser, stack: Stack, login: StorageState
) -> Iterator[BrowserContext]:
    """Alice's, with nothing stored in it and no page; its cache of static files is that of all her tests. She has
    chosen no model yet.
    """
    stack.sql("DELETE FROM chat_modelchoice")
    yield browsers.alice.take(browser, login, [web.url for web in stack.webs])
    browsers.alice.give_back(keep=not request.node.stash.get(FAILED, False))


@pytest.fixture(scope="module")
def source_page(browser: Browser, login: StorageState, stack: Stack) -> Iterator[Page]:
    """A page of Alice's whose modules are as they were written, so that a test can import each by its name."""
    context = browser.new_context(storage_state=login)
    page = context.new_page()
    page.goto(f"{stack.webs[1].url}/")
    yield page
    context.close()


@pytest.fixture
def page(context: BrowserContext, stack: Stack) -> Page:
    page = context.new_page()
    page.goto(f"{stack.url}/")
    return page


@pytest.fixture(scope="module")
def bobs(playwright: Playwright, stack: Stack) -> StorageState:
    """Bob's cookies."""
    return cookies_of(playwright, stack, "bob")


@pytest.fixture
def bob(
    request: pytest.FixtureRequest, browsers: Browsers, browser: Browser, stack: Stack, bobs: StorageState
) -> Iterator[Page]:
    """A page of Bob's, in a context of his own, which is kept as Alice's is."""
    page = browsers.bob.take(browser, bobs, [web.url for web in stack.webs]).new_page()
    page.goto(f"{stack.url}/")
    yield page
    browsers.bob.give_back(keep=not request.node.stash.get(FAILED, False))
