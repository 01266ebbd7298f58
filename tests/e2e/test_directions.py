"""Pages in both directions: none scrolls sideways on a phone, and what reads the other way stands where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import ended, send, shoot
from tests.e2e.test_side_by_side import compare
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

LANGUAGES: Final = ("en", "de", "ar")
PHONE: Final = {"width": 390, "height": 844}
DESK: Final = {"width": 1440, "height": 900}
OWN: Final = (
    "/",
    "/conversations/trash/",
    "/links/",
    "/cases/",
    "/recordings/",
    "/presets/",
    "/presets/new/",
    "/prompts/",
    "/prompts/new/",
    "/connections/",
    "/accounts/settings/",
    "/accounts/settings/appearance/",
    "/accounts/settings/models/",
    "/accounts/settings/voice/",
    "/accounts/settings/data/",
    "/accounts/settings/account/",
    "/accounts/settings/sessions/",
    "/accounts/settings/security/",
    "/accounts/settings/keys/",
    "/accounts/settings/files/",
    "/accounts/settings/collections/",
    "/accounts/settings/collections/new/",
    "/accounts/settings/webhooks/",
    "/accounts/instructions/",
    "/accounts/notifications/",
    "/accounts/tokens/",
    "/accounts/tools/",
    "/accounts/usage/",
    "/accounts/delete/",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/terms/",
    "/offline/",
    "/nothing/",
)
STRANGERS: Final = (
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/open/",
    "/accounts/invitation/",
    "/accounts/waiting/",
    "/accounts/inactive/",
    "/accounts/delete/done/",
    "/join/",
    "/s/abcdefghijklmnop",
)
# What is cut off at a side of the window, unless something around it scrolls.
WIDE: Final = """() => {
  const width = document.documentElement.clientWidth;
  const whole = document.documentElement.scrollWidth;
  const page = whole > width ? [`the page: ${whole}`] : [];
  const out = [...document.querySelectorAll("h1, h2, p, label, button, a, input, select, textarea")].filter((one) => {
    const { left, right, width: own } = one.getBoundingClientRect();
    const scrolls = one.closest("nav, .table-scroll, pre, [inert], .sidebar, .visually-hidden, .skip, [popover]");
    const isShown = own && one.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    return isShown && !scrolls && (left < -1 || right > width + 1);
  });
  return [...page, ...out.map((one) => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`)];
}"""
TABLE: Final = "| planet | diameter of it | length of its day | something else that is long |\n|---|---|---|---|\n| Mercury | 4879 | 176 | some words |\n"  # noqa: E501


@pytest.fixture
def open_page(browser: Browser, login: StorageState) -> Iterator[Any]:
    """Opens a page of Alice's, or of nobody's, in a language."""
    contexts = []

    def opened(language: str, size: dict[str, int], *, known: bool = True) -> Page:
        cookies = login if known else None
        context = browser.new_context(storage_state=cookies, viewport=size, locale=language)  # type: ignore[arg-type]
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_is_wider_than_a_phone(open_page: Any, stack: Stack, language: str) -> None:
    found: list[str] = []
    for known, paths in ((True, OWN), (False, STRANGERS)):
        page = open_page(language, PHONE, known=known)
        for path in paths:
            page.goto(stack.url + path, wait_until="domcontentloaded")
            found += [f"{path}: {one}" for one in page.evaluate(WIDE)]
    assert found == []


def test_in_arabic_names_of_another_direction_begin_at_the_right(
    open_page: Any, page: Page, stack: Stack, upstream: FakeOpenAI
) -> None:
    upstream.play(Script(text=TABLE))
    send(page, "Planets")
    ended(page)
    arabic = open_page("ar", DESK)
    arabic.goto(page.url)
    expect(arabic.locator(".table-scroll")).to_be_visible()
    ends = """(selector) => {
      const one = document.querySelector(selector);
      const range = document.createRange();
      range.selectNodeContents(one);
      const [text, box] = [range.getBoundingClientRect(), one.getBoundingClientRect()];
      return Math.round(box.right - text.right);
    }"""
    assert arabic.evaluate(ends, "#title") < 10
    assert arabic.evaluate(ends, ".item-link") < 16
    arabic.set_viewport_size(PHONE)
    begins = """() => {
      const [cell, box] = [".table-scroll th", ".table-scroll"].map((name) => document.querySelector(name));
      return cell.getBoundingClientRect().left - box.getBoundingClientRect().left;
    }"""
    assert arabic.evaluate(begins) >= 0, "its first column can be seen"
    shoot(arabic, "directions-table")


def test_answers_side_by_side_stay_in_the_window_in_arabic(open_page: Any, page: Page, stack: Stack) -> None:
    compare(page, "Side by side [[tokens=5]]")
    expect(page.locator(".beside-column[data-state=complete]")).to_have_count(2)
    for language in ("en", "ar"):
        wide = open_page(language, DESK)
        wide.goto(page.url)
        expect(wide.locator(".beside-column")).to_have_count(2)
        left, right = wide.evaluate("""() => {
          const boxOf = (name) => document.querySelector(name).getBoundingClientRect();
          const [one, other] = [boxOf(".beside"), boxOf("#scroller")];
          return [one.left - other.left, other.right - one.right];
        }""")
        assert min(left, right) >= 0, language
        assert abs(left - right) < 40, "in the middle"


def test_the_model_s_name_can_be_read_on_a_phone(open_page: Any, stack: Stack) -> None:
    page = open_page("en", PHONE)
    page.goto(stack.url)
    assert page.locator("#model").bounding_box()["width"] > 200
    row = page.locator(".composer-row > button:visible")
    tops = {round(row.nth(number).bounding_box()["y"] / 20) for number in range(row.count())}
    assert len(tops) <= 2, "the model's line, and one of buttons"


def test_a_menu_opens_in_a_landmark(page: Page, stack: Stack) -> None:
    send(page, "Hello [[tokens=2]]")
    ended(page)
    page.locator("#chat-menu").click()
    expect(page.locator("#item-menu")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#chat-menu")).to_be_focused()
