"""Collections in the page: made and filled, chosen beside the message field, cited by an answer, and removed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests import made_files as made
from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, ended, send, shoot_views
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

PAGES = [
    "Opening hours of the house: nine to five, and on Fridays until three in the afternoon.",
    "Days of leave: everybody has thirty days a year, and five more after ten years of work.",
]
ANSWER = "You have **thirty days** of leave [2], and the house opens at nine [1]. Nothing is said about bicycles [9]."
HANDBOOK = FilePayload(name="handbook.pdf", mimeType="application/pdf", buffer=made.pdf(PAGES))
NOTES = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"The canteen is closed on Mondays.")
LIST = "/accounts/settings/collections/"


@pytest.fixture(autouse=True)
def no_collections(stack: Stack) -> Iterator[None]:
    """The pages of other tests show no button for collections."""
    yield
    stack.sql("DELETE FROM chat_conversation_collections")
    stack.sql("DELETE FROM chat_folder_collections")
    stack.sql("DELETE FROM chat_fileuse WHERE file_id IN (SELECT id FROM chat_file WHERE collection_id IS NOT NULL)")
    stack.sql("DELETE FROM chat_file WHERE collection_id IS NOT NULL")
    stack.sql("DELETE FROM chat_collection")


def make(page: Page, stack: Stack, *files: FilePayload, name: str = "Handbook") -> None:
    """Makes a collection of Alice's as she does, and waits until its files are read."""
    page.goto(stack.url + LIST)
    page.get_by_role("link", name="New collection").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator(".collection-state")).to_have_text("No files yet")
    page.locator(".collection-adding input[type=file]").set_input_files(list(files))
    expect(page.locator(".my-files > li")).to_have_count(len(files))
    expect(page.locator(".collection-state")).to_have_text(f"{len(files)} file{'s' if len(files) > 1 else ''}")


def test_an_answer_cites_the_page_of_a_file(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    make(page, stack, HANDBOOK, NOTES)
    assert violations(page, "#settings") == []
    shoot_views(page, "knowledge-collection")
    page.goto(stack.url + LIST)
    shoot_views(page, "knowledge-list")

    page.goto(f"{stack.url}/")
    button = page.locator("#knowledge-button")
    button.click()
    sheet = page.get_by_role("dialog", name="Knowledge")
    sheet.get_by_role("checkbox", name="Handbook").check()
    expect(sheet.get_by_role("status")).to_have_text("Will be sent with your message")
    assert violations(page, "#knowledge") == []
    shoot_views(page, "knowledge-sheet")
    sheet.get_by_role("button", name="Close").click()
    expect(page.locator(".knowledge-line")).to_have_text("Knowledge: Handbook")
    upstream.play(Script(text=ANSWER))
    send(page, "How many days of leave do I have?")
    answer = ended(page)
    expect(answer.locator(".citation")).to_have_count(2)
    expect(answer).to_contain_text("bicycles [9]")
    expect(answer.locator(".sources li")).to_have_count(2)
    expect(answer.locator(".file-uses")).to_contain_text("all 2 files of Handbook")
    shoot_views(page, "knowledge-answer")

    answer.locator(".citation").first.click()
    card = page.locator("#source-card")
    expect(card).to_contain_text("page 2")
    expect(card).to_contain_text("everybody has thirty days")
    shoot_views(page, "knowledge-card")
    card.get_by_role("link", name="handbook.pdf").click()
    viewer = page.locator(".file-viewer")
    expect(viewer.get_by_role("heading", name="handbook.pdf")).to_be_visible()
    shoot_views(page, "knowledge-viewer")
    page.keyboard.press("Escape")
    page.reload()
    expect(answer.locator(".citation")).to_have_count(2)
    expect(page.locator(".knowledge-line")).to_have_text("Knowledge: Handbook")
    assert watch.complaints == []


def test_a_file_that_is_removed_is_gone_from_answers(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    make(page, stack, NOTES, name="Canteen")
    page.goto(f"{stack.url}/")
    page.locator("#knowledge-button").click()
    sheet = page.get_by_role("dialog", name="Knowledge")
    sheet.get_by_role("checkbox", name="Canteen").check()
    sheet.get_by_role("button", name="Close").click()
    upstream.play(Script(text="It is closed on Mondays [1]."))
    send(page, "When is the canteen closed?")
    answer = ended(page)
    expect(answer.locator(".source-title")).to_have_text("notes.txt")
    here = page.url
    page.goto(stack.url + LIST)
    page.get_by_role("link", name="Canteen", exact=True).click()
    page.get_by_text("Remove", exact=True).click()
    page.get_by_role("button", name="Delete file").click()
    expect(page.locator(".collection-state")).to_have_text("No files yet")
    page.goto(here)
    expect(answer.locator(".source-title")).to_have_text("A deleted file")
    expect(answer.locator(".source-passage")).to_have_count(0)


def test_the_same_file_again_and_one_that_cannot_be_read(page: Page, stack: Stack) -> None:
    make(page, stack, NOTES, name="Canteen")
    broken = FilePayload(name="broken.pdf", mimeType="application/pdf", buffer=b"%PDF-1.4 broken")
    page.locator(".collection-adding input[type=file]").set_input_files([NOTES])
    expect(page.locator(".collection-uploads li")).to_have_text(re.compile("is in this collection already"))
    page.locator(".collection-adding input[type=file]").set_input_files([broken])
    expect(page.locator(".collection-uploads li").last).to_have_text(re.compile("added"))
    page.reload()
    expect(page.locator(".collection-state")).to_have_text(re.compile("1 without readable text"))
    expect(page.locator(".my-files")).to_contain_text("damaged or incomplete")
    shoot_views(page, "knowledge-broken")
