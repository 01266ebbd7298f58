"""What tests of files in the browser share: files to attach, and the ways in which a person attaches them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Error, FilePayload, Locator, Page, Route, expect

# The element by which the page shows that its script has started.
STARTED: Final = "#composer > input[type=file]"


def picture(name: str = "photo.png", size: tuple[int, int] = (320, 200)) -> FilePayload:
    kept = io.BytesIO()
    Image.new("RGB", size, "#7aa2d8").save(kept, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": kept.getvalue()}


def notes(name: str = "notes.txt", text: str = "Crocodiles wait.\n") -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def started(page: Page) -> None:
    """Waits until the page takes files, and is connected."""
    page.locator(STARTED).wait_for(state="attached")
    page.locator("#connection[hidden]").wait_for(state="attached")


def choose(page: Page, *files: FilePayload) -> None:
    """Chooses files with the button."""
    started(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(list(files))


def chips(page: Page, state: str = "") -> Locator:
    """The files of the message that is being written, all or those in one state."""
    return page.locator(f"#composer .chip{f'[data-state={state}]' if state else ''}")


def uploaded(page: Page, count: int = 1) -> None:
    expect(chips(page, "done")).to_have_count(count)


class Drag:
    """Files that are dragged over the page from outside of the browser."""

    def __init__(self, page: Page, *paths: Path) -> None:
        self.session = page.context.new_cdp_session(page)
        self.data: dict[str, Any] = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}

    def _send(self, kind: str) -> None:
        self.session.send("Input.dispatchDragEvent", {"type": kind, "x": 700, "y": 300, "data": self.data})

    def enter(self) -> None:
        self._send("dragEnter")
        self._send("dragOver")

    def drop(self) -> None:
        self._send("drop")


CHUNKS: Final = "**/uploads/*/?offset=*"


class HeldChunks:
    """Keeps back every chunk that the page sends, but for the first `passing`, until it is told to let them go."""

    def __init__(self, page: Page, *, passing: int = 0) -> None:
        self._held: list[Route] = []
        self._holds = True
        self._passing = passing
        page.route(CHUNKS, self._take)

    def _take(self, route: Route) -> None:
        self._passing -= 1
        if self._holds and self._passing < 0:
            self._held.append(route)
        else:
            route.fallback()

    def let_go(self) -> None:
        """Those that came go on, and later ones at once."""
        self._holds = False
        for route in self._held:
            with contextlib.suppress(Error):  # of a page that was left
                route.continue_()


def paste(page: Page, text: str) -> None:
    """Pastes a text from the clipboard into the message field, by the keyboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#text").focus()
    page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("Control+V")
