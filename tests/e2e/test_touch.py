"""On a phone, what fingers press is at least 44 px wide and high."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e.browsing import ended
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack

# Too small: name, width, height. A checkbox counts as its label, an area that `::after` adds belongs to the target, and
# links within text are excepted (WCAG 2.5.5).
SMALL: Final = """(root) => {
  const controls = "button, a, input:not([type=range], [type=file]), select, textarea, summary";
  const inText = ".prose :is(p, li, td), .parameters-own";
  const shown = (one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  return [...document.querySelectorAll(root)].flatMap((one) => [...one.querySelectorAll(controls)])
    .filter((one) => shown(one) && !one.closest(inText))
    .map((one) => {
      const target = ["checkbox", "radio"].includes(one.type) ? one.closest("label") ?? one : one;
      const { width, height } = target.getBoundingClientRect();
      const more = getComputedStyle(target, "::after");
      const added = more.content === "none" || more.position !== "absolute" ? 0 : parseFloat(more.height) || 0;
      const name = one.id || one.dataset.action || one.name || one.textContent.trim().slice(0, 30);
      return [name, Math.round(width), Math.round(Math.max(height, added))];
    })
    .filter(([, width, height]) => width && height && (width < 44 || height < 44));
}"""


@pytest.fixture
def phone(browser: Browser, login: StorageState, stack: Stack) -> Iterator[Page]:
    """A conversation of Alice's with an answer."""
    context = browser.new_context(
        storage_state=login, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(f"{stack.url}/")
    page.locator("#text").fill("Hello [[tokens=5 rate=1000]]")
    page.locator("#send").click()  # Enter makes a new line
    ended(page)
    yield page
    context.close()


def test_a_conversation(phone: Page) -> None:
    assert phone.evaluate(SMALL, "#bar, #transcript, #composer") == []


def test_the_sidebar_and_the_menu(phone: Page) -> None:
    phone.locator("[data-action=open-sidebar]").click()
    expect(phone.locator("#sidebar")).to_be_in_viewport()
    assert phone.evaluate(SMALL, "#sidebar") == []
    phone.keyboard.press("Escape")
    phone.locator("#chat-menu").click()
    expect(phone.get_by_role("menuitem", name="Rename")).to_be_visible()
    assert phone.evaluate(SMALL, "#item-menu") == []


@pytest.mark.parametrize("name", ["people", "shares", "parameters", "tools"])
def test_the_sheets(phone: Page, name: str) -> None:
    phone.locator(f"#{name}-button").click()
    expect(phone.locator(f"#{name} h2")).to_be_visible()
    assert phone.evaluate(SMALL, f"#{name}") == []


PAGES: Final = (
    *("/accounts/settings/", "/accounts/settings/data/", "/accounts/settings/voice/"),
    *("/conversations/trash/", "/cases/", "/recordings/", "/accounts/2fa/totp/activate/"),
)


@pytest.mark.parametrize("path", PAGES)
def test_the_settings(phone: Page, stack: Stack, path: str) -> None:
    phone.goto(f"{stack.url}{path}")
    expect(phone.locator("h1")).to_be_visible()
    assert phone.evaluate(SMALL, "main") == []
