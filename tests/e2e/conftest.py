"""Playwright, a browser for each file, and a page of Alice's in the shared stack (tests/fixtures/stacks.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, StorageState, expect, sync_playwright

from tests.conftest import FAILED
from tests.e2e.bare_page import open_bare_page
from tests.e2e.browsing import chromium, cookies_of
from tests.e2e.contexts import Contexts
from tests.stack import Stack

expect.set_options(timeout=20_000)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Its process of Node, which takes longer to start than a browser. It ends with this folder's tests: until then
    the thread counts as one that runs an event loop, and asynchronous tests would fail.
    """
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as running:
        yield running


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


@pytest.fixture(scope="module")
def contexts(browser: Browser, stack: Stack, login: StorageState) -> Iterator[Contexts]:
    made = Contexts(browser, login, [web.url for web in stack.webs])
    yield made
    made.close()


@pytest.fixture
def context(request: pytest.FixtureRequest, contexts: Contexts) -> Iterator[BrowserContext]:
    """Alice's, with nothing stored in it and no page; its cache of static files is the file's."""
    yield contexts.take()
    contexts.give_back(keep=not request.node.stash.get(FAILED, False))


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
def bob(browser: Browser, bobs: StorageState, stack: Stack) -> Iterator[Page]:
    """A page of Bob's, in a browser of his own."""
    context = browser.new_context(storage_state=bobs, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{stack.url}/")
    yield page
    context.close()
