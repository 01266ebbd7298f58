"""Attaching files to a message that is being written: how they come in, are uploaded, and are kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, FilePayload, Page, Route, expect

from tests.e2e.attaching import (
    CHUNKS,
    STARTED,
    Drag,
    HeldChunks,
    chips,
    choose,
    notes,
    paste,
    picture,
    started,
    uploaded,
)
from tests.e2e.axe import violations
from tests.e2e.browsing import ended, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)

PASTE_IMAGE = """async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 30 });
    canvas.getContext("2d").fillRect(0, 0, 40, 30);
    const image = await new Promise((done) => canvas.toBlob(done, "image/png"));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
}"""
DROP_FOLDER = """(field) => {
    const file = (name) => ({ isFile: true, isDirectory: false, name, file: (done) => done(new File([name], name)) });
    const folder = (name, inside) => {
        let left = inside;
        const readEntries = (done) => { const some = left.splice(0, 1); done(some); };
        return { isFile: false, isDirectory: true, name, createReader: () => ({ readEntries }) };
    };
    const entry = folder("papers", [file("a.txt"), file(".hidden"), folder("more", [file("b.txt")])]);
    const event = new DragEvent("drop", { bubbles: true, cancelable: true });
    Object.defineProperty(event, "dataTransfer",
        { value: { types: ["Files"], items: [{ webkitGetAsEntry: () => entry }], files: [] } });
    field.dispatchEvent(event);
}"""


def test_chosen_files_are_uploaded_and_sent_with_the_message(page: Page) -> None:
    choose(page, picture(), notes())
    uploaded(page, 2)
    expect(chips(page).first.locator("img")).to_be_visible()
    expect(chips(page).nth(1)).to_contain_text("notes.txt")
    assert violations(page, "#composer") == []
    shoot_views(page, "files-composer")
    page.locator("#text").fill("What is in them?")
    page.locator("#text").press("Enter")
    expect(chips(page)).to_have_count(0)
    ended(page)
    expect(page.locator(".message-user .file")).to_have_count(2)
    expect(page.locator(".message-user .message-body")).to_have_text("What is in them?")


def test_a_message_of_files_alone(page: Page) -> None:
    choose(page, notes())
    uploaded(page)
    page.get_by_role("button", name="Send", exact=True).click()
    ended(page)
    expect(page.locator(".message-user .file-name")).to_have_text("notes.txt")
    expect(page.locator(".message-user .message-body")).to_be_hidden()


def test_files_are_dropped_on_a_target_that_is_shown(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "dropped.txt"
    path.write_text("Dropped.")
    started(page)
    drag = Drag(page, path)
    drag.enter()
    expect(page.locator(".drop-target")).to_be_visible()
    drag.drop()
    expect(page.locator(".drop-target")).to_be_hidden()
    uploaded(page)
    expect(chips(page)).to_contain_text("dropped.txt")


def test_the_files_of_a_dropped_folder(page: Page) -> None:
    started(page)
    page.locator("#text").evaluate(DROP_FOLDER)
    uploaded(page, 2)
    expect(page.locator(".chip-name")).to_have_text(["a.txt", "b.txt"])


def test_a_pasted_image(page: Page, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    started(page)
    page.locator("#text").focus()
    page.evaluate(PASTE_IMAGE)
    page.keyboard.press("Control+V")
    uploaded(page)
    expect(chips(page)).to_contain_text("image 1.png")
    expect(chips(page).locator("img")).to_be_visible()


def test_a_long_paste_becomes_a_file_and_text_again(page: Page) -> None:
    long = "All the words of it. " * 500
    started(page)
    paste(page, "short")
    expect(page.locator("#text")).to_have_value("short")
    expect(chips(page)).to_have_count(0)
    paste(page, long)
    uploaded(page)
    expect(chips(page)).to_contain_text("pasted.txt")
    expect(page.locator("#text")).to_have_value("short")
    page.get_by_role("button", name="Put it back as text").click()
    expect(chips(page)).to_have_count(0)
    expect(page.locator("#text")).to_have_value(f"short\n{long}")
    expect(page.locator("#text")).to_be_focused()


def test_what_cannot_be_uploaded_says_why_before_the_upload(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/uploads/" in request.url else None)
    choose(page, notes("empty.txt", ""))
    expect(chips(page, "failed")).to_contain_text("This file is empty.")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".attached-note")).to_contain_text("empty.txt is not uploaded.")
    assert asked == []
    page.get_by_role("button", name="Remove empty.txt").click()
    expect(page.locator("#text")).to_be_focused()


def test_more_files_than_a_message_can_have(page: Page) -> None:
    choose(page, *(notes(f"{number}.txt", f"Number {number}") for number in range(12)))
    uploaded(page, 10)
    expect(page.locator(".attached-note")).to_have_text("A message can have 10 files: 2 were not added.")


def test_an_upload_that_fails_for_a_moment_goes_on_by_itself(page: Page) -> None:
    failures = [503, 429]

    def fail(route: Route) -> None:
        if not failures:
            return route.fallback()
        return route.fulfill(status=failures.pop(), json={"code": "unavailable", "message": "Busy."})

    page.route(CHUNKS, fail)
    choose(page, notes())
    uploaded(page)
    assert failures == []


def test_a_refused_upload_says_why(page: Page) -> None:
    refused = {"code": "quota_exceeded", "message": "There is no room for this file."}
    page.route("**/uploads/new/", lambda route: route.fulfill(status=409, json=refused))
    choose(page, notes())
    expect(chips(page, "failed")).to_contain_text("There is no room for this file.")
    page.unroute("**/uploads/new/")
    page.get_by_role("button", name="Try again").click()
    uploaded(page)


def test_a_message_waits_for_its_files(page: Page) -> None:
    held = HeldChunks(page)
    choose(page, notes())
    expect(chips(page, "sending")).to_have_count(1)
    page.locator("#text").fill("With a file")
    page.locator("#text").press("Enter")
    note = page.locator(".attached-note")
    expect(note).to_have_text("The message is sent as soon as its files are uploaded.")
    page.get_by_role("button", name="Don’t send yet").click()
    expect(note).to_be_hidden()
    page.locator("#text").press("Enter")
    expect(note).to_be_visible()
    held.let_go()
    ended(page)
    expect(page.locator(".message-user .file-name")).to_have_text("notes.txt")
    expect(page.locator("#text")).to_have_value("")


def test_a_cancelled_upload_is_gone_from_the_server(page: Page, stack: Stack) -> None:
    HeldChunks(page)
    choose(page, notes())
    expect(chips(page, "sending")).to_have_count(1)
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as gone:
        page.get_by_role("button", name="Cancel the upload of notes.txt").click()
    assert gone.value.status == 200
    expect(chips(page)).to_have_count(0)
    left = page.request.get(f"{stack.url}/uploads/").json()["uploads"]
    assert "notes.txt" not in [one["name"] for one in left]


class TestAfterAReload:
    def test_the_files_of_the_draft_are_there(self, page: Page) -> None:
        choose(page, notes())
        uploaded(page)
        page.reload()
        uploaded(page)
        page.get_by_role("button", name="Send", exact=True).click()
        ended(page)
        expect(page.locator(".message-user .file-name")).to_have_text("notes.txt")

    def test_an_interrupted_upload_goes_on_where_it_was(self, page: Page) -> None:
        large = notes("large.txt", "0123456789" * 500_000)  # two chunks
        held = HeldChunks(page, passing=1)
        with page.expect_request(re.compile("offset=4194304")):
            choose(page, large)
        page.reload()
        expect(chips(page, "stopped")).to_contain_text("The upload was interrupted at 83%.")
        held.let_go()
        offsets: list[str] = []
        page.on("request", lambda request: offsets.append(request.url) if "offset=" in request.url else None)
        self.choose_again(page, notes("other.txt"))
        expect(page.locator(".attached-note")).to_contain_text("This is another file.")
        self.choose_again(page, large)
        uploaded(page)
        assert [re.sub(r".*offset=", "", one) for one in offsets] == ["4194304"]

    def choose_again(self, page: Page, file: FilePayload) -> None:
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose the file again").click()
        chooser.value.set_files([file])

    def test_a_pasted_text_goes_on_by_itself(self, page: Page) -> None:
        held = HeldChunks(page)
        started(page)
        paste(page, "All the words of it. " * 500)
        expect(chips(page, "sending")).to_have_count(1)
        page.reload()
        page.locator(STARTED).wait_for(state="attached")
        held.let_go()
        uploaded(page)
        expect(chips(page)).to_contain_text("pasted.txt")
