"""Calls of tools that wait for a person: the card on a desk and a phone, by keyboard and by ear, on several pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browsing import Watch, answers, ended, send, shoot_views
from tests.e2e.test_thinking import LISTEN
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.tool_rows import QUESTION
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

MAIL = {
    "title": "Send an email",
    "server": "mail",
    "effect": "writes",
    "arguments": '{"to":"carol@example.org","subject":"The trip","amount":12345678901234567890,"cc":[],'
    '"text":"See you \\u202etomorrow"}',
}
SHOWN = (
    '{\n  "to": "carol@example.org",\n  "subject": "The trip",\n  "amount": 12345678901234567890,\n  "cc": [],\n'
    '  "text": "See you \\u202etomorrow"\n}'
)


def ask(stack: Stack, *calls: dict[str, Any], **fields: Any) -> str:
    """A conversation whose answer waits; its address."""
    lines = f"from tests.fakes.waiting_calls import ask\nask(*{calls!r}, **{fields!r})"
    conversation = stack.manage("shell", "--no-imports", "--command", lines).strip().splitlines()[-1]
    return f"{stack.url}/c/{conversation}/"


def cards(page: Page) -> Locator:
    return page.locator(".approval")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def test_allowed_with_other_arguments(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    page.add_init_script(LISTEN)
    url = ask(stack, MAIL)
    page.goto(url)
    card = cards(page)
    expect(card.get_by_role("heading", name="Send an email")).to_be_visible()
    expect(card).to_contain_text("This tool writes or sends, and nobody has allowed it for more than one call yet.")
    expect(card.locator("pre")).to_have_text(SHOWN)
    expect(answers(page).locator(".message-body")).to_have_text("I will write to them.")
    expect(page.locator(".item .mark-waits").first).to_have_attribute("title", "Waiting for you")
    shoot_views(page, "approval")
    other = page.context.new_page()
    other.goto(stack.url)
    expect(other).to_have_title("Waiting for you · Antiphon")
    button(page, "Edit arguments").press("Enter")
    field = card.get_by_label("Arguments as JSON")
    expect(field).to_be_focused()
    for wrong, said in (("[]", "must be a JSON object"), ('{"to": ', "This is not JSON")):
        field.fill(wrong)
        expect(card.get_by_role("alert")).to_contain_text(said)
        button(page, "Allow once").press("Enter")
        expect(field).to_be_focused()
    shoot_views(page, "approval-edited-wrongly")
    field.fill('{"to": "dave@example.org"}')
    expect(card.locator(".approval-trouble")).to_be_empty()
    button(page, "Allow in this conversation").press("Enter")
    expect(card).to_have_count(0)
    line = page.locator(".decisions li")
    expect(line).to_contain_text("You allowed “Send an email” in this conversation. The arguments were changed.")
    expect(line).to_be_focused()
    ended(page)
    expect(other).to_have_title("Antiphon")
    row = stack.sql("SELECT edited_arguments, decision FROM chat_toolcall ORDER BY created_at DESC LIMIT 1")[0]
    assert (row["edited_arguments"], row["decision"]) == ('{"to": "dave@example.org"}', "conversation")
    assert any(said.startswith("You allowed") for said in page.evaluate("window.heard"))
    page.reload()
    expect(line).to_contain_text("You allowed “Send an email” in this conversation. The arguments were changed.")
    expect(card).to_have_count(0)
    shoot_views(page, "approval-decided")
    page.locator("#tools-button").click()
    allowed = page.locator(".tools-allowed li")
    expect(allowed).to_contain_text("Allowed by you")
    shoot_views(page, "approval-allowed")
    allowed.get_by_role("button").click()
    expect(allowed).to_have_count(0)
    assert not stack.sql("SELECT id FROM chat_toolapproval")
    assert watch.complaints == []


def test_two_members_and_a_viewer(page: Page, bob: Page, stack: Stack) -> None:
    url = ask(stack, MAIL, {**MAIL, "title": "Book a flight"}, members=[("bob@example.org", "viewer")])
    page.goto(url)
    bob.goto(url)
    expect(cards(bob)).to_have_count(2)
    expect(bob.get_by_role("button", name="Allow once")).to_have_count(0)
    expect(cards(bob).first).to_contain_text("Members who can write here decide about it.")
    shoot_views(bob, "approval-viewer")
    stack.sql("UPDATE chat_member SET role = 'editor' WHERE role = 'viewer'")
    bob.reload()
    button(bob, "Deny").first.click()
    for one in (page, bob):
        expect(cards(one)).to_have_count(1)
    expect(page.locator(".decisions li")).to_contain_text("Bob denied “Send an email”.")
    expect(bob.locator(".decisions li")).to_contain_text("You denied “Send an email”.")
    expect(bob.get_by_role("heading", name="Book a flight")).to_be_focused()
    shoot_views(page, "approval-one-left")
    page.locator("#stop").click()
    for one in (page, bob):
        expect(cards(one)).to_have_count(0)
        expect(answers(one).last).to_have_attribute("data-status", "stopped")


def test_denied_with_a_reason(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    page.add_init_script(LISTEN)
    page.goto(ask(stack, MAIL))
    card = cards(page)
    card.get_by_text("Give a reason for denying it").click()
    reason = card.get_by_role("textbox", name="Reason")
    reason.fill("Carol has left. <b>Write</b> to Dave.")
    expect(card).to_contain_text("The model and everybody in this conversation read it.")
    shoot_views(page, "approval-reason")
    button(page, "Deny").click()
    line = page.locator(".decisions li")
    said = "You denied “Send an email”. Reason: “Carol has left. <b>Write</b> to Dave.”"
    expect(line).to_contain_text(said)
    ended(page)
    assert said in page.evaluate("window.heard")
    page.reload()
    expect(line).to_contain_text(said)
    shoot_views(page, "approval-denied")
    assert "Carol has left. <b>Write</b> to Dave." in json.dumps(upstream.chats[-1].body), "the model reads it"
    assert watch.complaints == []


def test_a_question(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    titled = [{"const": "m1", "title": "Breakfast"}, {"const": "m2", "title": "Lunch"}, {"const": "m3", "title": "Tea"}]
    meals = {"type": "array", "title": "Meals", "items": {"anyOf": titled}, "maxItems": 2, "default": ["m1"]}
    asked: dict[str, Any] = json.loads(json.dumps(QUESTION))
    asked["schema"]["properties"]["meals"] = meals
    page.goto(ask(stack, {**MAIL, "title": "Book a flight"}, question=asked))
    card = cards(page)
    expect(card).to_contain_text("Which flight?")
    shoot_views(page, "approval-question")
    button(page, "Answer").click()
    expect(card).to_have_count(1)  # the browser asks for the choice
    card.get_by_label("Flight").select_option(label="Noon")
    card.get_by_label("Seats").fill("2")
    card.get_by_label("At a window").check()
    choices = card.get_by_role("group", name="Meals")
    expect(choices.get_by_label("Breakfast")).to_be_checked()
    for one in ("Lunch", "Tea"):
        choices.get_by_label(one).check()
    button(page, "Answer").click()
    expect(card).to_contain_text("Meals: choose at most 2.")
    choices.get_by_label("Lunch").uncheck()
    button(page, "Answer").click()
    expect(page.locator(".decisions li")).to_contain_text("You answered “Book a flight”.")
    [row] = stack.sql("SELECT answers FROM chat_toolcall ORDER BY created_at DESC LIMIT 1")
    found = row["answers"] if isinstance(row["answers"], list) else json.loads(row["answers"])
    assert found == [{"flight": "LH2", "seats": 2, "window": True, "meals": ["m1", "m3"]}]
    ended(page)
    assert watch.complaints == []


def test_long_arguments_and_a_decision_elsewhere(page: Page, stack: Stack) -> None:
    text = "word " * 9_000
    page.goto(ask(stack, {**MAIL, "arguments": json.dumps({"text": text})}))
    card = cards(page)
    expect(card.locator("pre")).to_contain_text(text[-200:].strip())  # the event has only the beginning
    box = card.locator("pre").bounding_box()
    assert box is not None
    assert box["height"] < 320, "it scrolls"
    other = page.context.new_page()
    other.goto(page.url)
    button(other, "Deny").click()
    expect(card).to_have_count(0)
    send(page, "Never mind")
    ended(page, 2)
