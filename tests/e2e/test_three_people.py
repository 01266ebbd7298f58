"""Three people in three browsers, and a model: what one does the others see, until one of them is removed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.e2e.browsing import Watch, cookies_of, send, shoot_views
from tests.e2e.test_members import add, begin
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack
ANSWERED = ".message-assistant[data-status=complete]"


@pytest.fixture
def carol(browser: Browser, playwright: Playwright, stack: Stack) -> Iterator[Page]:
    """A page of Carol's, on a phone."""
    name = stack.add_user("Carol").partition("@")[0]
    cookies = cookies_of(playwright, stack, name)
    context = browser.new_context(storage_state=cookies, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{stack.url}/")
    yield page
    context.close()


def test_three_people_and_a_model(page: Page, bob: Page, carol: Page, stack: Stack) -> None:
    everybody = (page, bob, carol)
    watched = [Watch(one, stack.url) for one in everybody]
    url = begin(page, "Plan our trip")
    add(page, "bob@example.org")
    expect(page.locator(".person-name")).to_have_count(2)
    page.keyboard.press("Escape")
    [row] = stack.sql("SELECT email FROM accounts_user WHERE name = 'Carol'")
    add(page, row["email"], "Viewer")
    expect(page.locator(".person-name")).to_have_text(["Alice (you)", "Bob", "Carol"])
    page.keyboard.press("Escape")
    for one in (bob, carol):
        one.goto(url)
    expect(carol.locator("#read-only")).to_be_visible()
    # One asks; all three see who asked, and the answer as it is written.
    send(bob, "@model Where to? [[tokens=60 rate=30]]")
    for one in everybody:
        expect(one.locator(".message-assistant[data-status=streaming]")).to_be_visible()
    # Another one writes meanwhile; that asks nobody and stops nothing.
    send(page, "Not too far, please")
    for one in everybody:
        expect(one.locator(".message-user", has_text="Not too far, please")).to_be_visible()
        expect(one.locator(ANSWERED)).to_have_count(2)
    for one, text in ((page, "Let us"), (carol, " s")):
        bob.locator("#text").press_sequentially(text)
        expect(one.locator("#typing")).to_have_text("Bob is typing…")
    for one, name in zip(everybody, ("owner", "editor", "viewer"), strict=True):
        shoot_views(one, f"three-{name}")
    texts = [one.locator("#transcript .message-body").all_inner_texts() for one in everybody]
    assert texts[0] == texts[1] == texts[2]
    # The reader of the three becomes a writer, and is removed then: the page lets go of the conversation at once.
    page.get_by_role("button", name="People").click()
    page.get_by_label("Role of Carol").select_option("editor")
    send(carol, "I can write now")
    for one in everybody:
        expect(one.locator(".message-user", has_text="I can write now")).to_be_attached()
    page.get_by_role("button", name="Remove Carol").click()
    page.get_by_role("button", name="Remove Carol now").click()
    expect(carol.locator(".gone")).to_contain_text("You no longer have access to that conversation")
    expect(carol.locator(".message")).to_have_count(0)
    expect(page.locator(".person-name")).to_have_text(["Alice (you)", "Bob"])
    page.keyboard.press("Escape")
    send(bob, "Just the two of us")
    expect(page.locator(".message-user").last).to_contain_text("Just the two of us")
    expect(carol.locator("body")).not_to_contain_text("Just the two of us")
    assert [watch.foreign for watch in watched] == [[], [], []]
