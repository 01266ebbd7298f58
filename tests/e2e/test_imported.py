"""An imported conversation in a real browser: its answers have no HTML before somebody opens it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import Watch, send
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)

ANSWERS = 25  # with their questions more than a page loads at once


def exported() -> list[dict[str, Any]]:
    """A ChatGPT export of one conversation."""
    nodes: dict[str, Any] = {}
    parent = None
    for number in range(ANSWERS * 2):
        role, text = ("assistant", f"Answer **{number}**.") if number % 2 else ("user", f"Question {number}?")
        message = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}, "create_time": None}
        nodes[str(number)] = {"parent": parent, "message": message}
        parent = str(number)
    return [{"title": "Imported", "conversation_id": "e2e-imported", "current_node": parent, "mapping": nodes}]


def test_answers_are_shown_plain_and_then_as_they_should_be(page: Page, stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(exported()))
    said = json.loads(stack.manage("import_chats", "alice@example.org", str(file), "--json"))
    assert (said["new"], said["messages"]) == (1, ANSWERS * 2)
    [row] = stack.sql("SELECT id FROM chat_conversation WHERE title = 'Imported'")
    watch = Watch(page, stack.url)
    page.goto(f"{stack.url}/c/{row['id']}/")
    last = page.locator(".message-assistant").last
    expect(last.locator(".message-body strong")).to_have_text(str(ANSWERS * 2 - 1), timeout=60_000)
    expect(page.locator(".message-assistant .plain")).to_have_count(0, timeout=60_000)
    newest = last.get_attribute("data-id")
    # Another tab goes up to the first answers. Their HTML comes to this page, too, which does not show them.
    stack.sql("UPDATE chat_message SET html = '' WHERE text = 'Answer **1**.'")
    first = page.locator(".message").first.get_attribute("data-id")
    older = f"{stack.url}/c/{row['id']}/older/?before={first}"
    assert "Answer **1**." in page.evaluate("url => fetch(url).then(answer => answer.text())", older)
    while stack.sql("SELECT 1 FROM chat_message WHERE text = 'Answer **1**.' AND html = ''"):
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)  # the event arrives
    shown = page.locator(".message-assistant[data-status=complete]").count()
    send(page, "And now?")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(shown + 1, timeout=60_000)
    [asked] = stack.sql("SELECT parent_id FROM chat_message WHERE text = 'And now?'")
    assert str(asked["parent_id"]) == newest
    assert watch.complaints == []
