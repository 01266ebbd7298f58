"""Branches of two people, copies, edits in place, deletions and ratings, as people see them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import Watch, send, shoot_views
from tests.e2e.test_members import add, begin
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack


def menu(page: Page, selector: str) -> None:
    """Opens the menu of a message."""
    message = page.locator(selector)
    message.hover()
    message.get_by_role("button", name="More for this message").click()


def edit(page: Page, text: str) -> None:
    """Edits the first message, which asks the model again."""
    question = page.locator(".message-user").first
    question.hover()
    question.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("Edit message").fill(text)
    page.get_by_label("Edit message").press("Enter")


def test_an_edit_of_another_member_is_offered_and_not_forced(page: Page, bob: Page, stack: Stack) -> None:
    watched = Watch(page, stack.url), Watch(bob, stack.url)
    url = begin(page, "Which crocodile?")
    add(page, "bob@example.org")
    expect(page.locator(".person-name")).to_have_count(2)
    page.keyboard.press("Escape")
    bob.goto(url)
    expect(bob.locator("#here .avatar")).to_have_text(["A"])
    second = page.context.new_page()  # Alice's own other tab
    second.goto(url)
    expect(second.locator("#here .avatar")).to_have_count(1)
    edit(page, "Which alligator?")
    expect(page.locator(".message-user .message-body").first).to_have_text("Which alligator?")
    expect(second.locator(".message-user .message-body").first).to_have_text("Which alligator?")
    expect(bob.locator(".branch-offer").first).to_contain_text("Alice edited this message.")
    expect(bob.locator(".message-user .message-body").first).to_have_text("Which crocodile?")
    shoot_views(bob, "offer")
    # Bob goes on where he is; Alice sees nothing of it on her branch.
    send(bob, "@model And where does it live?")
    expect(bob.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    expect(page.locator(".message-user")).to_have_count(1)
    for one, first in ((page, "Which alligator?"), (bob, "Which crocodile?")):
        one.reload()
        expect(one.locator(".message-user .message-body").first).to_have_text(first)
    # He looks at hers; his other branch stays where it is.
    bob.locator(".message-user").first.get_by_role("button", name="Next version").click()
    expect(bob.locator(".message-user .message-body")).to_have_text(["Which alligator?"])
    bob.reload()
    expect(bob.locator(".message-user .message-body")).to_have_text(["Which alligator?"])
    # Alice's tabs go together where she looks.
    page.locator(".message-user").first.get_by_role("button", name="Previous version").click()
    expect(page.locator(".message-user")).to_have_count(2)
    expect(second.locator(".message-user")).to_have_count(2)
    edit(page, "Which caiman?")
    expect(bob.locator(".branch-offer").first).to_contain_text("Alice edited this message.")
    expect(bob.locator(".message-user .message-body")).to_have_text(["Which alligator?"])
    bob.get_by_role("button", name="Show", exact=True).first.click()
    expect(bob.locator(".message-user .message-body")).to_have_text(["Which caiman?"])
    assert [watch.complaints for watch in watched] == [[], []]


def test_a_message_is_edited_deleted_rated_and_forked(page: Page, bob: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    url = begin(page, "Name a crocodile")
    add(page, "bob@example.org")
    expect(page.locator(".person-name")).to_have_count(2)
    page.keyboard.press("Escape")
    bob.goto(url)
    expect(bob.locator("#here .avatar")).to_have_text(["A"])
    expect(page.locator(".message-user time.message-time")).to_have_attribute("datetime", re.compile(r"^20\d\d-"))
    # Ratings, with a reason.
    answer = page.locator(".message-assistant")
    answer.hover()
    answer.get_by_role("button", name="Bad answer").click()
    page.get_by_label("Reason (optional)").fill("It names none.")
    shoot_views(page, "rating")
    page.get_by_role("button", name="Send", exact=True).last.click()
    expect(answer.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(answer.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    assert stack.sql("SELECT value, note FROM chat_rating") == [{"value": -1, "note": "It names none."}]
    # In place: no model is asked, and Bob sees the new text alone.
    menu(page, ".message-user")
    shoot_views(page, "menu")
    page.get_by_role("menuitem", name="Edit in place").click()
    page.get_by_label("Edit message").fill("Name a caiman")
    page.get_by_role("button", name="Save").click()
    for one in (page, bob):
        expect(one.locator(".message-user .message-body")).to_have_text("Name a caiman")
        expect(one.locator(".message-user .message-edited")).to_be_visible()
        expect(one.locator("#title")).to_have_text("Name a caiman")
    expect(page.locator(".message-assistant")).to_have_count(1)
    shoot_views(page, "edited")
    menu(bob, ".message-user")
    expect(bob.get_by_role("menuitem", name="Edit in place")).to_be_hidden()
    bob.get_by_role("menuitem", name="Fork from here").click()
    expect(bob).not_to_have_url(url)
    expect(bob.locator("#title")).to_contain_text("(copy)")
    expect(bob.locator(".message-user .message-body")).to_have_text("Name a caiman")
    expect(bob.locator(".message-author")).to_have_text("Alice")
    shoot_views(bob, "forked")
    bob.goto(url)
    expect(bob.locator("#here .avatar")).to_have_text(["A"])
    menu(page, ".message-assistant")
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("menuitem", name="Delete for everyone").click()
    for one in (page, bob):
        expect(one.locator(".message-assistant .message-deleted")).to_be_visible()
        expect(one.locator(".message-assistant .message-body")).to_be_hidden()
    shoot_views(bob, "deleted")
    send(page, "@model Go on")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    assert watch.complaints == []
