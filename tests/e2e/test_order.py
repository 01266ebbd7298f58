"""The list of conversations in a browser: folders, the archive, tags, many at once, the trash; and its place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, ended, send, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)

MANY = """
WITH c AS (
    INSERT INTO chat_conversation (id, title, model, system_prompt, created_at, updated_at, temporary)
    SELECT gen_random_uuid(), 'Old ' || lpad(g::text, 3, '0'), '', '', now() - g * interval '1 day',
        now() - g * interval '1 day', false
    FROM generate_series(1, 300) g RETURNING id, updated_at
)
INSERT INTO chat_member (conversation_id, user_id, role, joined_at)
SELECT c.id, u.id, 'owner', c.updated_at FROM c, accounts_user u WHERE u.email = 'alice@example.org'
RETURNING conversation_id
"""
EMPTY = """
DELETE FROM chat_member WHERE conversation_id IN (SELECT id FROM chat_conversation WHERE title LIKE 'Old %%')
RETURNING id
"""


def menu(page: Page, title: str, choice: str) -> None:
    """Chooses in the menu of an entry, as somebody at a keyboard does."""
    page.locator(".item", has_text=title).locator(".item-menu").press("Enter")
    page.locator("#item-menu").get_by_role("menuitem", name=choice, exact=True).click()


def view(page: Page, choice: str, name: str) -> None:
    """Shows a view of the list."""
    page.locator(".list-name").click()
    page.locator("#list-menu").get_by_role("menuitem", name=choice, exact=True).click()
    expect(page.locator("#list-name")).to_have_text(name)


def test_folders_tags_and_the_archive(page: Page, context: BrowserContext, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    send(page, "To be filed [[tokens=1]]")
    ended(page)
    other = context.new_page()
    other.goto(f"{stack.url}/")
    expect(other.locator(".item", has_text="To be filed")).to_be_visible()

    page.locator(".list-name").click()
    page.get_by_role("menuitem", name="New folder…").click()
    dialog = page.locator("#folder-dialog")
    dialog.get_by_label("Name").evaluate("field => field.removeAttribute('maxlength')")  # as an older page would
    dialog.get_by_label("Name").fill("x" * 90)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_have_text("A folder's name can have at most 80 characters.")
    dialog.get_by_label("Name").fill("Work")
    dialog.get_by_label("Instructions").fill("Be brief.")
    dialog.get_by_role("button", name="Save").click()
    for tab in (page, other):
        expect(tab.locator(".folder-name")).to_have_text("Work")

    menu(page, "To be filed", "Move to folder…")
    page.locator("#move-list").get_by_role("button", name="Work").click()
    for tab in (page, other):
        expect(tab.locator(".folder-count [aria-hidden]")).to_have_text("1")
        expect(tab.locator(".item", has_text="To be filed")).to_have_count(0)
    page.locator(".folder-link").click()
    expect(page.locator("#list-name")).to_have_text("Work")
    expect(page.locator(".item", has_text="To be filed")).to_be_visible()
    shoot_views(page, "list-folder")
    page.reload()
    expect(page.locator("#list-name")).to_have_text("Work")

    # Dragged out of it, and back by the note.
    page.locator(".item", has_text="To be filed").drag_to(page.locator("#list-back"))
    expect(page.locator(".item", has_text="To be filed")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".item", has_text="To be filed")).to_be_visible()

    menu(page, "To be filed", "Tags…")
    page.get_by_label("New tag").fill("urgent")
    page.keyboard.press("Enter")
    expect(page.locator("#tags-list").get_by_label("urgent")).to_be_checked()
    assert violations(page) == []
    page.keyboard.press("Escape")
    view(page, "#urgent", "urgent")
    expect(page.locator(".item")).to_have_count(1)

    menu(page, "To be filed", "Archive")
    expect(page.locator(".nothing")).to_be_visible()
    view(page, "Archive", "Archive")
    expect(page.locator(".item", has_text="To be filed")).to_be_visible()
    assert violations(page) == []
    send(page, "It comes back [[tokens=1]]")
    ended(page, 2)
    expect(page.locator(".item", has_text="To be filed")).to_have_count(0)

    # A new conversation in the folder.
    page.locator("#list-back").click()
    page.locator(".folder .item-menu").press("Enter")
    page.get_by_role("menuitem", name="New conversation in it").click()
    expect(page.locator(".in-folder")).to_contain_text("Work")
    send(page, "Begun there [[tokens=1]]")
    ended(page)
    expect(page.locator("#list-name")).to_have_text("Work")
    expect(page.locator(".item")).to_have_count(2)
    [row] = stack.sql("SELECT system_prompt FROM chat_conversation WHERE title LIKE 'Begun there%%'")
    assert row["system_prompt"] == "Be brief."

    page.locator("#list-options").click()
    page.get_by_role("menuitem", name="Delete the folder…").click()
    expect(page.locator("#ask-text")).to_contain_text("Its 2 conversations go back to the list.")
    page.get_by_role("button", name="Delete the folder").click()
    expect(page.locator("#list-name")).to_have_text("Conversations")
    for tab in (page, other):
        expect(tab.locator(".item", has_text="To be filed")).to_be_visible()
        expect(tab.locator(".folder")).to_have_count(0)
    assert [one for one in watch.complaints if "400" not in one] == []  # the name that was refused


@pytest.fixture
def emptied(stack: Stack) -> Iterator[None]:
    """Takes the many conversations out of Alice's list again."""
    yield
    stack.sql(EMPTY)


@pytest.mark.usefixtures("emptied")
def test_the_list_keeps_its_place(page: Page, stack: Stack) -> None:
    stack.sql(MANY)
    page.goto(f"{stack.url}/")
    page.wait_for_function(  # older ones come as one scrolls down
        """() => {
            const list = document.getElementById("conversations");
            list.scrollTop = list.scrollHeight;
            return list.textContent.includes("Old 150");
        }"""
    )
    entry = page.locator(".item", has_text="Old 120")
    entry.scroll_into_view_if_needed()
    entry.locator(".item-link").click()
    expect(page.locator("#title")).to_have_text("Old 120")
    current = page.locator(".item-link[aria-current]")
    expect(current).to_have_text("Old 120")
    expect(current).to_be_in_viewport()
    page.reload()
    expect(current).to_be_in_viewport()
    expect(current).to_have_text("Old 120")

    # Newer ones come as one scrolls up, to the top.
    page.wait_for_function(
        """() => {
            const list = document.getElementById("conversations");
            list.scrollTop = 0;
            return list.textContent.includes("Old 001");
        }"""
    )

    page.locator(".list-name").click()
    page.get_by_role("menuitem", name="Jump to a date…").click()
    page.locator("#ask-field").fill("2000-01-01")
    page.get_by_role("button", name="Jump", exact=True).click()
    expect(page.locator(".item", has_text="Old 300")).to_be_visible()


@pytest.mark.usefixtures("emptied")
def test_several_at_once_and_the_trash(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    stack.sql(MANY.replace("300)", "6)"))
    page.goto(f"{stack.url}/")
    page.locator("#list-select").click()
    check = page.locator(".item", has_text="Old").locator(".item-check")
    check.nth(1).click()
    check.nth(4).click(modifiers=["Shift"])
    expect(page.locator("#selection-count")).to_have_text("4 selected")
    check.nth(4).press("Shift+ArrowDown")
    expect(page.locator("#selection-count")).to_have_text("5 selected")
    assert violations(page) == []
    shoot_views(page, "list-selecting")
    page.locator("[data-many=delete]").click()
    expect(page.locator(".item", has_text="Old")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".item", has_text="Old")).to_have_count(6)

    page.locator(".list-name").click()
    page.get_by_role("menuitem", name="Delete all…").click()
    page.locator("#ask-field").fill("delete all")
    page.get_by_role("button", name="Delete all", exact=True).click()
    expect(page.locator(".item")).to_have_count(0)
    page.goto(f"{stack.url}/conversations/trash/")
    expect(page.get_by_role("listitem").filter(has_text="Old 003")).to_contain_text("30 days left")
    assert violations(page) == []
    page.get_by_role("button", name="Restore all").click()
    expect(page.get_by_text("back in your list")).to_be_visible()
    page.goto(f"{stack.url}/")
    expect(page.locator(".item", has_text="Old")).to_have_count(6)
    assert watch.complaints == []
