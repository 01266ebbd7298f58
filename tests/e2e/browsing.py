"""What browser tests share: Chromium, a logged-in page, its complaints, and where it tried to connect."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    APIRequestContext,
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    StorageState,
    WebSocketRoute,
    expect,
)  # fmt: skip

from tests.stack import PASSWORD, Stack

# The headless shell is Chromium without its windows and menus: a page in it takes less than half of the CPU time.
EXECUTABLES = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
VIEWS = {"phone": (390, 844), "desktop": (1280, 900)}
ARGUMENTS = [
    *("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"),
    *("--disable-sync", "--disable-default-apps"),
    *("--disable-gpu", "--disable-software-rasterizer"),
]

# Keeps the notes that the page shows for some seconds, in `notesShown`.
NOTES_SHOWN = """() => {
  window.notesShown = [];
  const place = document.getElementById("toasts");
  const keep = () => place.textContent && window.notesShown.push(place.textContent);
  new MutationObserver(keep).observe(place, { childList: true, subtree: true });
}"""


@contextmanager
def chromium(playwright: Playwright, *arguments: str) -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own, with more of its command line's `arguments`."""
    found = next(filter(os.path.exists, EXECUTABLES), None)
    browser = playwright.chromium.launch(executable_path=found, args=[*ARGUMENTS, *arguments])
    yield browser
    browser.close()


class Watch:
    """What the browser complains of, and every request that leaves the site."""

    def __init__(self, page: Page, origin: str) -> None:
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self._host = urlsplit(origin).netloc
        page.on(
            "console", lambda line: self.complaints.append(line.text) if line.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _hear(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.complaints.append(line.text)

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self._host:
            self.foreign.append(url)


def log_in(context: BrowserContext, stack: Stack, name: str = "alice") -> Page:
    """A page of the context, logged in and at a new conversation. No page of the log-in is shown."""
    page = context.new_page()
    _post_login(context.request, stack, name, user_agent=page.evaluate("navigator.userAgent"))
    page.goto(f"{stack.url}/")
    return page


def cookies_of(playwright: Playwright, stack: Stack, name: str = "alice") -> StorageState:
    """What a browser has after the log-in."""
    http = playwright.request.new_context()
    try:
        _post_login(http, stack, name)
        return http.storage_state()
    finally:
        http.dispose()


def _post_login(http: APIRequestContext, stack: Stack, name: str, *, user_agent: str = "") -> None:
    """Logs in without a page: two of them in Chromium would take two seconds of CPU time."""
    agent = {"User-Agent": user_agent} if user_agent else {}
    login = f"{stack.url}/accounts/login/"
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', http.get(login, headers=agent).text())
    assert token is not None
    form = {"login": f"{name}@example.org", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    answer = http.post(login, form=form, headers={"Origin": stack.url, **agent}, max_redirects=0)
    assert answer.status == 302, answer.text()


def send(page: Page, text: str) -> None:
    """Writes a message and sends it, as a person at a keyboard does."""
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def choose_model(page: Page, name: str) -> None:
    """Chooses a model or a preset in the picker, as a person with a mouse does."""
    page.locator("#model").click()
    page.get_by_role("combobox", name="Search models").fill(name)
    page.get_by_role("option").first.click()
    page.locator("#model", has_text=name).wait_for()


def answers(page: Page) -> Any:
    return page.locator(".message-assistant")


ENDED = ".message-assistant.is-last:not([data-status=pending], [data-status=streaming])"
STREAMING = ".message-assistant.is-last[data-status=streaming]"


def shoot(page: Page, name: str, *, full_page: bool = False) -> None:
    """Keeps a picture for a person to look at, where PICTURES says."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=full_page)


def shoot_views(page: Page, name: str, *, full_page: bool = False) -> None:
    """The same in both themes, as on a phone and on a desk."""
    if not os.environ.get("PICTURES"):
        return
    before = page.viewport_size
    for view, (width, height) in VIEWS.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark")  # staff's
            page.wait_for_timeout(400)
            shoot(page, f"{name}-{view}-{theme}", full_page=full_page)
    page.emulate_media(color_scheme="light")
    page.evaluate("document.documentElement.classList.remove('dark')")
    if before:
        page.set_viewport_size(before)


@contextmanager
def known_model(page: Page, stack: Stack, name: str, **said: bool) -> Iterator[None]:
    """Staff say this of a model (as `sees=False`), and the site that the page is of knows."""
    code = "from chat.models import KnownModel\nKnownModel.objects."
    stack.manage("shell", "--no-imports", "--command", f"{code}update_or_create(name={name!r}, defaults={said!r})")
    try:
        for _ in range(80):  # each process reads it every few seconds
            found = page.request.get(f"{stack.url}/models/").json()["models"]
            if any(one["id"] == name and said.items() <= one.items() for one in found):
                break
            page.wait_for_timeout(250)
        else:
            raise AssertionError(f"the site does not know of {name}: {said}")
        yield
    finally:
        stack.manage("shell", "--no-imports", "--command", f"{code}filter(name={name!r}).delete()")


def ended(page: Page, count: int = 1) -> Any:
    """The last answer, once it has ended and `count` answers are shown."""
    expect(answers(page)).to_have_count(count)
    expect(page.locator(ENDED)).to_be_visible(timeout=20_000)
    return page.locator(ENDED)


def reopen(page: Page, handler: Callable[[WebSocketRoute], None]) -> None:
    """Opens the page again with its socket in the hands of `handler`, which no earlier connection reaches."""
    url = page.url
    page.goto("about:blank")
    page.route_web_socket("**/ws/", handler)
    page.goto(url)


def body(page: Page) -> str:
    """The HTML of the last answer, without the line ends between its elements, which nobody sees."""
    html = str(answers(page).last.locator(".message-body").inner_html())
    return re.sub(r"(?<=>)\n+|\n+(?=<)", "", html)


MARKDOWN = """\
## A heading

Some **strong** and *soft* words, `code`, and a [link](https://example.org/a).

- one
- two

```python
def add(a, b):
    return a + b
```

| a | b |
|---|--:|
| 1 | 2 |

The end \N{GRINNING FACE} of it.
"""
