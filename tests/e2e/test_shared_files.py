"""Files on the pages of share links and on paper: a link shows them if its creator ticked that."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.attaching import choose, notes, picture, uploaded
from tests.e2e.axe import violations
from tests.e2e.browsing import ended, shoot_views
from tests.e2e.test_shares import create, read
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)


def send_files(page: Page, count: int, text: str) -> None:
    choose(page, picture(), notes())
    uploaded(page, 2)
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    ended(page, count)
    expect(page.locator(".message-user").last.locator(".file[data-state=read]")).to_have_count(2)


def tick(page: Page, *, files: bool) -> None:
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_label("Show files").set_checked(files)
    page.keyboard.press("Escape")


def test_a_link_shows_files_only_if_that_was_ticked(page: Page, browser: Browser, stack: Stack) -> None:
    send_files(page, 1, "Two files")
    for files in (True, False):
        tick(page, files=files)
        address = create(page, "live")
        page.keyboard.press("Escape")
        reader, watched = read(browser, address, stack)
        expect(reader.locator(".message-user .message-body").first).to_have_text("Two files")
        expect(reader.locator(".file")).to_have_count(2 if files else 0)
        if files:
            assert reader.locator(".file img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
            send_files(page, 2, "Two more")
            expect(reader.locator(".message-user").nth(1).locator(".file-name")).to_have_text(
                ["photo.png", "notes.txt"]
            )
            with reader.expect_download() as download:
                reader.locator(".message-user").nth(1).locator(".file-open", has_text="notes.txt").click()
            assert download.value.path().read_text() == "Crocodiles wait.\n"
            assert violations(reader, "#transcript") == []
            shoot_views(reader, "files-shared")
        else:
            expect(reader.locator(".message-user")).to_have_count(2)
        assert watched.complaints == []
        reader.context.close()
        page.reload()


def test_files_are_on_paper(page: Page) -> None:
    send_files(page, 1, "On paper")
    page.goto(f"{page.url}print/")
    expect(page.locator(".file-name")).to_have_text(["photo.png", "notes.txt"])
    expect(page.locator(".file img")).to_be_visible()
