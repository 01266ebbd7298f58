"""Two people in one conversation, each in a browser of their own."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import Watch, send, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack


def begin(page: Page, text: str) -> str:
    """Sends a first message and waits for its answer; the path of the conversation."""
    send(page, text)
    expect(page.locator(".message-assistant[data-status=complete]")).to_be_visible()
    return page.url


def add(page: Page, who: str, role: str = "Editor") -> None:
    page.get_by_role("button", name="People").click()
    page.get_by_label("Name or email address").fill(who)
    page.locator("#people-role").select_option(role)
    page.get_by_role("button", name="Add", exact=True).click()


def test_two_people_and_a_model(page: Page, bob: Page, stack: Stack) -> None:
    watched = Watch(page, stack.url), Watch(bob, stack.url)
    url = begin(page, "Plan our trip")
    add(page, "bob@example.org")
    expect(page.locator(".person-name")).to_have_text(["Alice (you)", "Bob"])
    shoot_views(page, "people")
    page.keyboard.press("Escape")
    # Bob's list has it without a reload.
    bob.get_by_role("link", name="Plan our trip").click()
    expect(bob).to_have_url(url)
    expect(page.locator("#here .avatar")).to_have_text(["B"])
    expect(bob.locator("#here .avatar")).to_have_text(["A"])
    bob.locator("#text").press_sequentially("Let us")
    expect(page.locator("#typing")).to_have_text("Bob is typing…")
    shoot_views(page, "typing")
    send(bob, "@model Let us go by train")
    expect(page.locator(".message-user").last).to_contain_text("Let us go by train")
    expect(page.locator(".message-author").last).to_have_text("Bob")
    # He types on within the time that lies between two signs of it.
    bob.locator("#text").press_sequentially("And")
    expect(page.locator("#typing")).to_have_text("Bob is typing…")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    shoot_views(page, "two-people")
    # Bob becomes a viewer at once, and then is removed.
    page.get_by_role("button", name="People").click()
    page.get_by_label("Role of Bob").select_option("viewer")
    expect(bob.locator("#read-only")).to_be_visible()
    expect(bob.locator("#composer")).to_be_hidden()
    shoot_views(bob, "viewer")
    page.get_by_role("button", name="Remove Bob").click()
    page.get_by_role("button", name="Remove Bob now").click()
    expect(page.locator(".person-name")).to_have_text(["Alice (you)"])
    # Nothing of it stays on his screen or in his browser, and he is told why.
    expect(bob.locator(".gone")).to_contain_text("You no longer have access to that conversation")
    expect(bob).to_have_url(f"{stack.url}/")
    expect(bob.locator(".message")).to_have_count(0)
    expect(bob.get_by_role("link", name="Plan our trip")).to_have_count(0)
    assert "draft" not in str(bob.evaluate("Object.keys(localStorage)"))
    shoot_views(bob, "removed")
    assert bob.goto(url).status == 404  # type: ignore[union-attr]
    assert [watch.foreign for watch in watched] == [[], []]


def test_joining_by_a_link_and_handing_over(page: Page, bob: Page, stack: Stack) -> None:
    url = begin(page, "Read this")
    page.get_by_role("button", name="People").click()
    page.get_by_text("New link").click()
    page.get_by_role("button", name="Create link").click()
    expect(page.locator("#link-address")).to_be_visible()
    link = page.locator("#link-address").input_value()
    shoot_views(page, "link")
    bob.goto(link)
    expect(bob.get_by_role("heading", name="Join a conversation")).to_be_visible()
    assert "#" not in bob.url
    shoot_views(bob, "join")
    bob.get_by_role("button", name="Join").click()
    expect(bob).to_have_url(url)
    expect(page.locator(".person-name")).to_have_text(["Alice (you)", "Bob"])
    page.get_by_role("button", name="Leave conversation").click()
    expect(page.get_by_label("Who will own it")).to_have_value(
        str(stack.sql("SELECT id FROM accounts_user WHERE email = 'bob@example.org'")[0]["id"])
    )  # fmt: skip
    shoot_views(page, "leave")
    page.get_by_role("button", name="Leave now").click()
    expect(page).to_have_url(f"{stack.url}/")
    bob.get_by_role("button", name="People").click()
    expect(bob.locator(".person-name")).to_have_text(["Bob (you)"])
