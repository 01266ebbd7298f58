"""Collections of folders, and messages that are sent while files are being read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import ended, send, shoot_views
from tests.e2e.test_knowledge import NOTES, make, no_collections
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack
__all__ = ["no_collections"]

WAIT = """
UPDATE chat_blob SET state = 'pending', claimed_until = now() + interval '1 hour', characters = 0
WHERE id IN (SELECT blob_id FROM chat_file WHERE collection_id IS NOT NULL) RETURNING id
"""
READ = """
UPDATE chat_blob SET state = 'read', claimed_until = NULL, characters = 34
WHERE id IN (SELECT blob_id FROM chat_file WHERE collection_id IS NOT NULL) RETURNING id
"""
NOTES_SHOWN = """() => {
  window.notesShown = [];
  const place = document.getElementById("toasts");
  const keep = () => window.notesShown.push(place.textContent);
  new MutationObserver(keep).observe(place, { childList: true, subtree: true });
}"""


@pytest.fixture(autouse=True)
def no_folders(stack: Stack, no_collections: None) -> Iterator[None]:
    """The pages of other tests show no folder."""
    yield
    stack.sql("DELETE FROM chat_folder_collections")
    stack.sql("UPDATE chat_member SET folder_id = NULL")
    stack.sql("DELETE FROM chat_folder")


def test_the_form_of_a_folder_offers_collections(page: Page, stack: Stack) -> None:
    make(page, stack, NOTES, name="Canteen")
    page.goto(f"{stack.url}/")
    page.locator(".list-name").click()
    page.get_by_role("menuitem", name="New folder…").click()
    dialog = page.locator("#folder-dialog")
    dialog.get_by_label("Name").fill("Lunch")
    group = dialog.get_by_role("group", name="Knowledge of new conversations in it")
    group.get_by_role("checkbox", name="Canteen").check()
    assert violations(page, "#folder-dialog") == []
    shoot_views(page, "folder-knowledge")
    dialog.get_by_role("button", name="Save").click()
    page.locator(".folder-link", has_text="Lunch").click()
    expect(page.locator("#list-name")).to_have_text("Lunch")
    [saved] = stack.sql(
        "SELECT c.name, f.folder_id FROM chat_folder_collections f JOIN chat_collection c ON c.id = f.collection_id"
        " JOIN chat_folder o ON o.id = f.folder_id WHERE o.name = 'Lunch'"
    )
    assert saved["name"] == "Canteen"
    page.goto(f"{stack.url}/?folder={saved['folder_id']}")  # where its menu leads for a new conversation
    expect(page.locator(".knowledge-line")).to_have_text("Knowledge: Canteen")
    send(page, "When is it closed? [[tokens=1]]")
    answer = ended(page)
    expect(answer.locator(".file-uses")).to_contain_text("1 file of Canteen")
    expect(page.locator(".item", has_text="When is it closed?")).to_be_visible()


def test_a_message_that_is_sent_before_all_files_are_read_says_so(page: Page, stack: Stack) -> None:
    make(page, stack, NOTES, name="Canteen")
    stack.sql(WAIT)
    page.goto(f"{stack.url}/")
    page.locator("#knowledge-button").click()
    sheet = page.get_by_role("dialog", name="Knowledge")
    sheet.get_by_role("checkbox", name="Canteen").check()
    sheet.get_by_role("button", name="Close").click()
    expect(page.locator(".knowledge-line")).to_have_text("Knowledge: Canteen (0 of 1 file ready)")
    shoot_views(page, "knowledge-waiting")
    page.evaluate(NOTES_SHOWN)
    send(page, "When is it closed? [[tokens=1]]")
    said = "0 of 1 file of “Canteen” is ready. The answer does without the others."
    page.wait_for_function("(said) => window.notesShown.some((text) => text.includes(said))", arg=said)
    answer = ended(page)
    expect(answer.locator(".file-uses")).to_contain_text("nothing of Canteen")
    stack.sql(READ)
    expect(page.locator(".knowledge-line")).to_have_text("Knowledge: Canteen")
