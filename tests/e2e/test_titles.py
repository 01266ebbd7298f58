"""Titles by a model of their own in a real browser (TITLE_MODEL): they come after the first answer, in every tab, and
never over a person's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.browsing import ended, send, shoot
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import SHARED, stack_with_model
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)
TITLE = "tok0 tok1 tok2"  # what the model of titles writes


@pytest.fixture(scope="module")
def titled() -> Iterator[tuple[Stack, FakeOpenAI]]:
    with stack_with_model(env={**SHARED, "TITLE_MODEL": "script:tokens=3"}) as running:
        yield running


@pytest.fixture(scope="module")
def stack(titled: tuple[Stack, FakeOpenAI]) -> Stack:
    return titled[0]


def title_requests(titled: tuple[Stack, FakeOpenAI]) -> int:
    return sum(request.body["model"].startswith("script:") for request in titled[1].chats)


def test_the_title_comes_after_the_first_answer(
    page: Page, context: BrowserContext, stack: Stack, titled: tuple[Stack, FakeOpenAI]
) -> None:
    other = context.new_page()
    other.goto(f"{stack.url}/")
    other.locator("#connection[hidden]").wait_for(state="attached")
    send(page, "Which trains go from Berlin to Rome?")  # what is in brackets would also be for the title
    ended(page)
    expect(page.locator("#title")).to_have_text(TITLE)
    expect(page.locator(".item-link[aria-current]")).to_contain_text(TITLE)
    expect(page).to_have_title(re.compile(TITLE))
    expect(other.locator(".item", has_text=TITLE)).to_be_visible()
    shoot(page, "title-by-model")
    send(page, "And back? [[tokens=2]]")
    ended(page, 2)
    page.reload()
    expect(page.locator("#title")).to_have_text(TITLE)
    assert title_requests(titled) == 1, "after the first answer only"
    [paid] = stack.sql("SELECT user_id, messages, input_tokens FROM accounts_usageentry WHERE purpose = 'title'")
    assert (paid["user_id"], paid["messages"], paid["input_tokens"] > 0) == (None, 0, True)


def test_a_title_of_a_person_stays(page: Page, titled: tuple[Stack, FakeOpenAI]) -> None:
    before = title_requests(titled)
    send(page, "Name it before the answer ends [[tokens=3 hang=1]]")
    page.locator(".message-assistant .prose p").wait_for()
    page.locator("#chat-menu").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_role("textbox", name="Title").fill("My own name")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text("My own name")
    page.get_by_role("button", name="Stop the answer").click()
    ended(page)
    send(page, "Go on [[tokens=2]]")
    ended(page, 2)
    page.reload()
    expect(page.locator("#title")).to_have_text("My own name")
    assert title_requests(titled) == before
