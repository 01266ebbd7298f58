"""One browser context for all tests of a person, as good as new for each: it keeps Chromium's cache of static files.

A page in a new context asks for a hundred static files, which takes the browser and the web process twice the CPU time
that it takes with the cache. What a page stores is gone before the next test's first page. A test that changes
the context itself (scripts, routes, permissions, the network) has it for the last time: the next gets a new one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, StorageState

from tests.e2e.browsing import chromium

UNCHANGING: Final = {
    "cookies", "expect_event", "expect_page", "new_cdp_session", "new_page", "pages", "request", "storage_state",
    "wait_for_event",
}  # fmt: skip
# Neither cookies, which are there before the page, nor the cache of HTTP.
STORED: Final = "file_systems,indexeddb,local_storage,service_workers,cache_storage"


class KeptContext(BrowserContext):
    """Notes whether anything but `UNCHANGING` was used. Its first new page after a test clears what was stored."""

    origins: tuple[str, ...] = ()
    is_changed = False
    has_stored = False

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name not in UNCHANGING and name not in KeptContext.__dict__:
            self.is_changed = True
        return super().__getattribute__(name)

    def new_page(self) -> Page:
        page = super().new_page()
        if self.has_stored:
            self.has_stored = False
            session = self.new_cdp_session(page)
            for origin in self.origins:
                session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORED})
            session.detach()
        return page


class Contexts:
    """Gives each test the context, with the cookies of a log-in."""

    def __init__(self) -> None:
        self._context: KeptContext | None = None

    def take(self, browser: Browser, login: StorageState, origins: Iterable[str]) -> BrowserContext:
        """With the cookies of `login`. `origins`: where its pages store things."""
        if self._context is None or self._context.browser is not browser:
            made = browser.new_context(storage_state=login, viewport={"width": 1280, "height": 800})
            made.set_default_timeout(20_000)
            made.__class__ = KeptContext
            assert isinstance(made, KeptContext)
            made.origins = tuple(origins)
            self._context = made
        else:
            BrowserContext.clear_cookies(self._context)
            BrowserContext.add_cookies(self._context, login["cookies"])  # type: ignore[arg-type]
            self._context.has_stored = True
            self._context.is_changed = False
        return self._context

    def give_back(self, *, keep: bool) -> None:
        """Closes the test's pages; without `keep`, or when the test changed the context, that too."""
        assert self._context is not None
        if not keep or self._context.is_changed:
            self.close()
            return
        for page in self._context.pages:
            page.close()

    def has(self, context: BrowserContext) -> bool:
        return context is self._context

    def close(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.close()


class Browsers:
    """One Chromium for all files, started again when it has crashed. `alice`, `bob`: their kept contexts in it."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._running = contextlib.ExitStack()
        self._browser: Browser | None = None
        self.alice, self.bob = Contexts(), Contexts()

    def running(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._running.enter_context(chromium(self._playwright))
        return self._browser

    def close_left_contexts(self) -> None:
        """Closes all but the kept ones: their pages would go on listening, as people who are there."""
        assert self._browser is not None
        for context in self._browser.contexts:
            if not (self.alice.has(context) or self.bob.has(context)):
                context.close()

    def close(self) -> None:
        self._running.close()
