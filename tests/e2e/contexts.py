"""One browser context for the tests of a file, as good as new for each: it keeps Chromium's cache of static files.

A page in a new context asks for a hundred static files, which takes the browser and the web process 1.9 CPU seconds
together; with the cache it is 1.2. What a page stores is gone before the next test's first page. A test that changes
the context itself (scripts, routes, permissions, the network) has it for the last time: the next gets a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, StorageState

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
    """Gives each test the context, with the cookies of `login`. `origins`: where its pages store things."""

    def __init__(self, browser: Browser, login: StorageState, origins: Iterable[str]) -> None:
        self._browser = browser
        self._login = login
        self._origins = tuple(origins)
        self._context: KeptContext | None = None

    def take(self) -> BrowserContext:
        if self._context is None:
            made = self._browser.new_context(storage_state=self._login, viewport={"width": 1280, "height": 800})
            made.set_default_timeout(20_000)
            made.__class__ = KeptContext
            assert isinstance(made, KeptContext)
            made.origins = self._origins
            self._context = made
        else:
            BrowserContext.clear_cookies(self._context)
            BrowserContext.add_cookies(self._context, self._login["cookies"])  # type: ignore[arg-type]
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

    def close(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.close()
