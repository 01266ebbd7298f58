"""A file of each kind that is read: attached by the file chooser, read by a worker, and shown in the viewer."""

from __future__ import annotations

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests import made_files as made
from tests.e2e.attaching import choose, notes, picture, uploaded
from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, ended, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(600)
HERON = "The heron waits by the pond."
ODT = f"<office:text><text:h text:outline-level='1'>Birds</text:h><text:p>{HERON}</text:p></office:text>"
PAGE = f"<!doctype html><html><head><title>Birds</title></head><body><p>{HERON * 12}</p></body></html>"
CODE = "def heron(pond: str) -> str:\n    return f'It waits by {pond}.'\n"
SHEETS: dict[str, list[list[object]]] = {
    "Birds": [["bird", "count"], ["heron", 3], ["coot", 5]],
    "Ponds": [["pond"], ["north"]],
}


def file(name: str, content: bytes | str) -> FilePayload:
    return {"name": name, "mimeType": "", "buffer": content if isinstance(content, bytes) else content.encode()}


# With what the viewer shows of each.
TEXTS = [
    (file("report.pdf", made.pdf([HERON, "The second page."])), "page 2"),
    (file("letter.docx", made.docx([HERON], table=[["bird", "count"], ["heron", "3"]])), HERON),
    (file("birds.xlsx", made.xlsx(SHEETS)), "coot"),
    (file("slides.pptx", made.pptx([HERON, "The end"])), "slide 2"),
    (file("notes.odt", made.odf(ODT)), HERON),
    (file("book.epub", made.epub([HERON, "It left."])), "chapter 2"),
    (file("birds.csv", "bird;count\nheron;3\n"), "heron"),
    (file("page.html", PAGE), HERON),
    (file("heron.py", CODE), "def heron"),
]
IMAGES = [
    picture("drawing.png", (640, 400)),
    file("photo.heic", made.image((640, 400), "HEIF", colour="#7aa2d8")),
    file("scan.tiff", made.image((400, 640), "TIFF", colour="#d8a27a")),
    file("moving.gif", made.image((320, 200), "GIF")),
    notes("\u05d3\u05d5\u05d7 2026 (1).txt", HERON),
]


def send_and_read(page: Page, count: int, *files: FilePayload) -> None:
    """Sends files, and waits until those of the message were read."""
    choose(page, *files)
    uploaded(page, len(files))
    if count == 1:
        shoot_views(page, "kinds-composer")
    page.locator("#text").fill("What is in these files?")
    page.locator("#text").press("Enter")
    ended(page, count)
    message = page.locator(".message-user").last
    expect(message.locator(".file[data-state=read]")).to_have_count(len(files))


def test_files_of_each_kind_are_read_and_shown(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    send_and_read(page, 1, *(one for one, _ in TEXTS))
    shoot_views(page, "kinds-message")
    message = page.locator(".message-user").last
    message.locator(".file-open").first.click()
    viewer = page.locator(".file-viewer")
    for number, (one, said) in enumerate(TEXTS, 1):
        expect(viewer.get_by_role("heading", name=one["name"])).to_be_visible()
        as_text = viewer.get_by_role("button", name="Show as text")
        if as_text.is_visible():  # where the browser has a viewer for PDF
            as_text.click()
        expect(viewer.locator(".file-viewer-body")).to_contain_text(said)
        shoot_views(page, f"kinds-{one['name']}")
        if number < len(TEXTS):
            viewer.get_by_role("button", name="Next file").click()
    assert violations(page, ".file-viewer") == []
    page.keyboard.press("Escape")

    send_and_read(page, 2, *IMAGES)
    shoot_views(page, "kinds-images")
    message = page.locator(".message-user").last
    message.locator(".file-open").first.click()
    for one in IMAGES[:4]:
        expect(viewer.get_by_role("heading", name=one["name"])).to_be_visible()
        width = viewer.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)")
        assert width >= 320, one["name"]
        shoot_views(page, f"kinds-{one['name']}")
        viewer.get_by_role("button", name="Next file").click()
    expect(viewer.get_by_role("heading", name="2026 (1).txt")).to_be_visible()
    shoot_views(page, "kinds-rtl")
    assert watch.complaints == []
