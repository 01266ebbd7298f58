"""The page's dialogs come with the first of them: from every opener, and after a load that failed."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import NOTES_SHOWN, ended, send
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack

SCHEMES: Final = ("light", "dark")
OPENERS: Final = {  # the dialog: the button, with what opens its menu before it
    "people": ["#people-button"],
    "shares": ["#shares-button"],
    "parameters": ["#parameters-button"],
    "tools": ["#tools-button"],
    "help": [".account", "#help-button"],
    "search": ["[data-action=search]"],
    "jump-date": ["#chat-menu", "[data-action=go-date]"],
    "folder-dialog": [".list-name", "[data-action=new-folder]"],
    "report": [".message-assistant [data-action=report]"],
}

MORE_OPENERS: Final = {
    "move-dialog": ["#chat-menu", "[data-action=move]"],
    "tags-dialog": ["#chat-menu", "[data-action=tags]"],
    "ask-dialog": [".list-name", "[data-action=delete-all]"],
    "models": ["#model"],
}


def press(page: Page, path: list[str]) -> None:
    for selector in path:
        page.locator(selector).first.click()


def test_each_opener_loads_its_dialog(page: Page, stack: Stack) -> None:
    send(page, "Hello [[tokens=5 rate=1000]]")
    ended(page)
    for name, path in OPENERS.items():
        page.reload()
        assert name == "search" or not page.locator(f"#{name}").count(), f"{name} came with the page"
        press(page, path)
        expect(page.locator(f"#{name}[open]")).to_be_visible()


@pytest.mark.timeout(400)  # axe reads thirteen dialogs twice
@pytest.mark.parametrize("width", [1280, 390])
def test_no_dialog_breaks_a_rule_of_accessibility(page: Page, stack: Stack, width: int) -> None:
    send(page, "Hello [[tokens=5 rate=1000]]")
    ended(page)
    page.set_viewport_size({"width": width, "height": 844})
    found: list[str] = []
    for name, path in (OPENERS | MORE_OPENERS).items():
        page.reload()
        opener = page.get_by_role("button", name="Open sidebar")
        if width < 500 and (path[0] in (".account", ".list-name") or name == "search"):
            opener.click()
        press(page, path)
        expect(page.locator(f"#{name}[open]")).to_be_visible()
        expect(page.locator(f"#{name} h2").first).to_be_visible()
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")  # of colours
            found += [f"{name}, {scheme}: {one}" for one in violations(page, f"#{name}")]
    assert found == []


def test_a_load_that_failed_is_said_and_tried_again(page: Page, stack: Stack) -> None:
    send(page, "Hello [[tokens=5 rate=1000]]")
    ended(page)
    page.route("**/sheets/", lambda route: route.abort())
    for opener in ("people", "parameters", "tools", "search", "help", "report"):
        page.reload()
        page.evaluate(NOTES_SHOWN)
        press(page, OPENERS[opener])
        page.wait_for_function("() => notesShown.length > 0")
        notes = page.evaluate("notesShown")
        assert "Try again in a moment." in notes[0], (opener, notes)
    page.unroute("**/sheets/")
    page.keyboard.press("Escape")
    press(page, OPENERS["people"])
    expect(page.locator("#people[open]")).to_be_visible()


def test_alt_p_opens_the_parameters_and_closes_them(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/")
    expect(page.locator("#model")).to_contain_text("small")
    page.keyboard.press("Alt+p")
    expect(page.locator("#parameters-title")).to_be_focused()
    page.keyboard.press("Alt+p")
    expect(page.locator("#parameters")).to_be_hidden()


def test_the_conversation_s_menu_opens_where_the_sidebar_is_closed(page: Page, stack: Stack) -> None:
    send(page, "Hello [[tokens=5 rate=1000]]")
    ended(page)
    page.locator("[data-action=close-sidebar]").click()
    expect(page.locator("#sidebar")).to_be_hidden()
    page.locator("#chat-menu").click()
    expect(page.get_by_role("menuitem", name="Rename")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("[data-action=open-sidebar]").click()  # for other tests


def test_a_long_menu_stays_on_a_phone_s_screen(page: Page, stack: Stack) -> None:
    send(page, "Hello [[tokens=5 rate=1000]]")
    ended(page)
    page.set_viewport_size({"width": 390, "height": 600})
    page.locator("#chat-menu").click()
    menu = page.locator("#item-menu")
    expect(menu).to_be_visible()
    box = menu.bounding_box()
    assert box is not None
    assert box["y"] >= 0, box
    assert box["y"] + box["height"] <= 600, box
    last = menu.get_by_role("menuitem", name="Delete")
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport(ratio=1)
