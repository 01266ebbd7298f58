"""What the page says of the model's window: how full it is, what was left out, and the seam of a summary."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import ended, send, shoot
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)
SUMMARY = "They greeted each other.\nThe user wants dinners for a week, without fish. " + "More. " * 40


def summarise(stack: Stack) -> None:
    """A summary of the first question and answer, and a window that the answers have filled."""
    rows = stack.sql("SELECT id, conversation_id FROM chat_message ORDER BY created_at")
    stack.sql(
        "INSERT INTO chat_summary (id, conversation_id, last_id, messages, text, model, used, created_at)"
        " VALUES (%s, %s, %s, 2, %s, 'small', true, now())",
        uuid.uuid4(), rows[1]["conversation_id"], rows[1]["id"], SUMMARY,
    )  # fmt: skip
    stack.sql("UPDATE chat_run SET input_tokens = 79360, context_window = 128000, context_dropped = 14")


def test_the_seam_is_shown_and_undone_and_the_page_says_how_full_the_window_is(page: Page, stack: Stack) -> None:
    send(page, "Plan my dinners [[tokens=30]]")
    ended(page)
    line = page.locator("#context")
    expect(line).to_be_hidden()
    send(page, "And for Sunday? [[tokens=40]]")
    ended(page, 2)
    summarise(stack)
    page.reload()
    expect(line).to_have_text("62 % of 128k · 14 older messages left out")
    seam = page.locator(".seam:visible")
    expect(seam).to_have_count(1)
    expect(seam.locator("summary")).to_have_text("Earlier messages were summarised", use_inner_text=True)
    expect(page.locator("article.message").nth(1).locator(".seam")).to_be_visible()
    expect(seam.locator(".seam-text")).to_be_hidden()
    shoot(page, "seam")
    seam.locator("summary").press("Enter")
    expect(seam.locator(".seam-text")).to_contain_text("dinners for a week, without fish.")
    shoot(page, "seam-open")
    seam.get_by_role("button", name="Undo").click()
    expect(seam.locator("summary")).to_have_text("The summary of earlier messages is not used", use_inner_text=True)
    expect(seam.get_by_role("button", name="Use summary")).to_be_focused()
    assert stack.sql("SELECT used FROM chat_summary")[0]["used"] is False
    page.reload()
    shoot(page, "seam-undone")
    seam.get_by_role("button", name="Use summary").click()
    expect(seam.get_by_role("button", name="Undo")).to_be_focused()
    assert stack.sql("SELECT used FROM chat_summary")[0]["used"] is True


WORDS = """async (uses) => {
    const { contextWords } = await import("antiphon/conversation/context-use");
    return uses.map(contextWords);
}"""


def test_the_words(bare_page: Page) -> None:
    uses = [
        None,
        {"used": None, "window": 8192, "dropped": 3},
        {"used": 10, "window": 8192, "dropped": 0},
        {"used": 5000, "window": 8192, "dropped": 0},
        {"used": 65_536, "window": 131_072, "dropped": 0},
        {"used": 5000, "window": None, "dropped": 1},
        {"used": 600_000, "window": 1_048_576, "dropped": 0},
        {"used": 9000, "window": 8192, "dropped": 2},
    ]
    assert bare_page.evaluate(WORDS, uses) == [
        "", "", "", "61 % of 8k", "50 % of 128k",
        "1 older message left out", "57 % of 1M", "100 % of 8k · 2 older messages left out",
    ]  # fmt: skip
