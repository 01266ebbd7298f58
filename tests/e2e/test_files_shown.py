"""Files of messages in the page: thumbnails, what was read of them, the viewer, edits, one's own files."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import FilePayload, Page, ViewportSize, expect

from tests.e2e.attaching import HeldChunks, choose, notes, picture, started, uploaded
from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, ended, known_model, send, shoot_views
from tests.e2e.wire import Wire
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)

TABLE = 'name,amount\n"Ada, of London",3\nGrace,5\n'


def send_files(page: Page, *files: FilePayload, text: str = "Look at this") -> None:
    choose(page, *files)
    uploaded(page, len(files))
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    ended(page)


def is_read(page: Page, count: int) -> None:
    expect(page.locator(".message-user .file[data-state=read]")).to_have_count(count)


def test_what_was_read_appears_without_a_reload(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    send_files(page, picture(), notes("table.csv", TABLE))
    is_read(page, 2)
    expect(page.locator(".message-user .file").first.locator("img")).to_be_visible()
    page.reload()
    is_read(page, 2)
    expect(page.locator(".message-user .file").first.locator("img")).to_be_visible()
    assert violations(page, ".message-user") == []
    shoot_views(page, "files-message")
    assert watch.complaints == []


def test_the_viewer_shows_images_and_tables(page: Page) -> None:
    send_files(page, picture(), notes("table.csv", TABLE))
    is_read(page, 2)
    page.locator(".message-user .file-open").first.click()
    viewer = page.locator(".file-viewer")
    expect(viewer.get_by_role("heading", name="photo.png")).to_be_focused()
    expect(viewer.locator("img")).to_have_js_property("complete", True)
    assert violations(page, ".file-viewer") == []
    page.keyboard.press("ArrowRight")
    expect(viewer.get_by_role("heading", name="table.csv")).to_be_visible()
    expect(viewer.get_by_role("cell", name="Ada, of London")).to_be_visible()
    expect(viewer.get_by_role("button", name="Next file")).to_be_disabled()
    shoot_views(page, "files-viewer")
    with page.expect_download() as download:
        viewer.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "table.csv"
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(page.locator(".message-user .file-open").first).to_be_focused()


def test_a_line_says_what_the_model_got(page: Page) -> None:
    send_files(page, notes())
    line = page.locator(".message-assistant .file-uses")
    expect(line).to_have_text(re.compile("The model got: all of notes.txt"))
    page.reload()
    expect(line).to_have_text(re.compile("The model got: all of notes.txt"))


def test_an_image_that_the_model_makes(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    upstream.play(Script(text="Here it is.", image=base64.b64encode(picture()["buffer"]).decode()))
    send(page, "Draw a sea")
    answer = ended(page)
    link = answer.get_by_role("link", name="image.png")
    for _ in range(2):
        expect(link.locator("img")).to_have_js_property("naturalWidth", 320)
        expect(answer.locator(".call-title")).to_have_text("Image")
        assert answer.locator(".call-title").evaluate("(title) => title.scrollWidth <= title.clientWidth")
        expect(answer.locator(".message-body")).to_have_text("Here it is.")
        page.reload()
    shoot_views(page, "files-made-image")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "image.png"
    assert download.value.path().read_bytes() == picture()["buffer"]
    with known_model(page, stack, "small", sees=False):
        page.reload()
        upstream.play(Script(image=base64.b64encode(picture()["buffer"]).decode()))
        send(page, "Another one, and nothing else")
        answer = ended(page, 2)
        for _ in range(2):
            expect(answer.get_by_role("link", name="image.png").locator("img")).to_have_js_property("naturalWidth", 320)
            expect(answer.locator(".call-unseen")).to_have_count(0)
            page.reload()
    assert watch.complaints == []


def test_an_edit_keeps_and_changes_files(page: Page) -> None:
    send_files(page, notes("one.txt", "One."), notes("two.txt", "Two."))
    page.locator(".message-user").hover()
    page.get_by_role("button", name="Edit", exact=True).click()
    editor = page.locator(".editor")
    expect(editor.locator(".chip-name")).to_have_text(["one.txt", "two.txt"])
    editor.get_by_role("button", name="Remove one.txt").click()
    with page.expect_file_chooser() as chooser:
        editor.get_by_role("button", name="Attach files").click()
    chooser.value.set_files([notes("three.txt", "Three.")])
    expect(editor.locator(".chip[data-state=done]")).to_have_count(2)
    editor.get_by_role("button", name="Send").click()
    expect(page.locator(".message-user .versions-count")).to_have_text("2 / 2")
    expect(page.locator(".message-user .file-name")).to_have_text(["two.txt", "three.txt"])
    page.locator(".message-user").hover()
    page.get_by_role("button", name="Previous version").first.click()
    expect(page.locator(".message-user .file-name")).to_have_text(["one.txt", "two.txt"])


def test_an_unsent_message_keeps_its_files_through_a_reload(page: Page) -> None:
    """The outbox sends the same files once there is a connection again."""
    choose(page, notes())
    uploaded(page)
    blocked = Wire(lambda _frame, _route: False)
    url = page.url
    page.goto("about:blank")
    page.route_web_socket("**/ws/", blocked)
    page.goto(url)
    uploaded(page)
    page.locator("#text").fill("Sent later")
    page.locator("#text").press("Enter")
    expect(page.locator(".message-user .file-name")).to_have_text("notes.txt")
    page.goto("about:blank")
    page.route_web_socket("**/ws/", lambda route: route.connect_to_server())
    page.goto(url)
    ended(page)
    expect(page.locator(".message-user .file-name")).to_have_text("notes.txt")


def test_a_model_that_sees_no_images_is_said_before_sending(page: Page, stack: Stack) -> None:
    with known_model(page, stack, "small", sees=False):
        page.reload()
        choose(page, picture())
        uploaded(page)
        expect(page.locator(".attached-note")).to_contain_text("small does not see images")
        page.get_by_role("button", name="Remove photo.png").click()
        choose(page, notes())
        uploaded(page)
        expect(page.locator(".attached-note")).to_be_hidden()


# What a worker does that recognises the text of a picture (docs/files.md), of the newest file.
RECOGNISED = """
import asyncio, time
from chat.models import Blob, File
from workers.files.announcing import announce_read
pk = File.objects.order_by("-pk")[0].blob_id
while Blob.objects.get(pk=pk).state == "pending":
    time.sleep(0.1)
Blob.objects.filter(pk=pk).update(characters=12, reason="recognised")
asyncio.run(announce_read(pk))
"""


def test_of_a_picture_with_recognised_text_it_is_not_said(page: Page, stack: Stack) -> None:
    with known_model(page, stack, "small", sees=False):
        page.reload()
        choose(page, picture("sign.png", (333, 201)))
        uploaded(page)
        expect(page.locator(".attached-note")).to_contain_text("small does not see images")
        stack.manage("shell", "--no-imports", "--command", RECOGNISED)
        expect(page.locator("#composer .chip")).to_contain_text("Its text was recognised and can have mistakes.")
        expect(page.locator(".attached-note")).to_be_hidden()


def test_on_a_touch_screen_the_camera_is_offered(page: Page, stack: Stack) -> None:
    assert page.context.browser is not None
    size: ViewportSize = {"width": 390, "height": 844}
    login = page.context.storage_state()
    context = page.context.browser.new_context(storage_state=login, viewport=size, has_touch=True, is_mobile=True)
    phone = context.new_page()
    phone.goto(f"{stack.url}/")
    started(phone)
    button = phone.get_by_role("button", name="Attach files")
    box = button.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44
    button.tap()
    expect(phone.get_by_role("menuitem", name="Take a photo")).to_be_focused()
    with phone.expect_file_chooser() as chooser:
        phone.get_by_role("menuitem", name="Choose files").tap()
    chooser.value.set_files([notes()])
    uploaded(phone)
    expect(phone.get_by_role("menuitem")).to_have_count(0)
    context.close()


class TestOwnFiles:
    def test_they_are_listed_and_deleted_everywhere(self, page: Page, stack: Stack) -> None:
        send_files(page, notes("gone.txt", "Soon gone."))
        page.goto(f"{stack.url}/accounts/settings/files/")
        row = page.locator(".my-files li", has_text="gone.txt")
        expect(row).to_contain_text("Look at this")
        expect(page.locator(".files-used")).to_contain_text("used")
        assert violations(page, "#settings") == []
        shoot_views(page, "files-settings")
        row.get_by_role("link", name="Look at this").click()
        expect(page.locator(".message-user .file-name")).to_have_text("gone.txt")
        page.go_back()
        row.locator("summary").click()
        row.get_by_role("button", name="Delete file").click()
        expect(row).to_have_count(0)
        page.go_back()

    def test_one_is_used_again_in_a_new_conversation(self, page: Page, stack: Stack) -> None:
        send_files(page, notes("again.txt", "Again."))
        page.goto(f"{stack.url}/accounts/settings/files/")
        page.get_by_role("button", name="Use again.txt again in a new conversation").click()
        uploaded(page)
        expect(page.locator(".chip-name")).to_have_text("again.txt")
        assert "attach" not in page.url

    def test_an_unfinished_upload_goes_on(self, page: Page, stack: Stack) -> None:
        HeldChunks(page)  # for good: what is left of the page may not finish the upload
        with page.expect_request(re.compile("offset=0")):
            choose(page, notes("half.txt"))
        page.goto(f"{stack.url}/accounts/settings/files/")
        page.locator("li", has_text="half.txt").get_by_role("link", name="Continue", exact=True).click()
        expect(page.locator(".chip[data-state=stopped]", has_text="half.txt")).to_be_visible()


def test_a_waiting_message_shows_its_files(page: Page) -> None:
    send(page, "Tell me a story [[tokens=2000 rate=20]]")
    expect(page.locator(".message-assistant[data-status=streaming]")).to_be_visible()
    choose(page, notes())
    uploaded(page)
    page.locator("#text").fill("And then this")
    page.locator("#text").press("Enter")
    expect(page.locator(".queued .file-name")).to_have_text("notes.txt")
    page.locator("#stop").click()
