"""People who write to one another, and ask the model when they want to."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from chat.turns.mentions import find_mentions
from tests.e2e.browsing import Watch, send, shoot_views
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack


def share(page: Page, bob: Page, text: str) -> str:
    """Alice's conversation, which Bob has open, too."""
    send(page, text)
    expect(page.locator(".message-assistant[data-status=complete]")).to_be_visible()
    page.get_by_role("button", name="People").click()
    page.get_by_label("Name or email address").fill("bob@example.org")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".person-name")).to_have_text(["Alice (you)", "Bob"])
    expect(page.get_by_label("When the model answers")).to_have_value("")
    shoot_views(page, "asking-rule")
    page.keyboard.press("Escape")
    bob.goto(page.url)
    expect(bob.locator("#here .avatar")).to_have_text(["A"])
    return page.url


def test_people_write_and_ask_when_they_want(page: Page, bob: Page, stack: Stack) -> None:
    watched = Watch(page, stack.url), Watch(bob, stack.url)
    share(page, bob, "Plan our trip")
    # Enter writes to people.
    ask = page.locator("#ask")
    expect(ask).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#composer-hint")).to_have_text("Enter: write to people · Ctrl + Enter: ask the model")
    shoot_views(page, "asking-composer")
    send(page, "By train or by car?")
    expect(bob.locator(".message-user").last).to_contain_text("By train or by car?")
    send(bob, "By train, I think")
    expect(page.locator(".message-user").last).to_contain_text("By train, I think")
    expect(page.locator(".message-assistant")).to_have_count(1)
    # A mention is completed, marked, and seen beforehand to ask.
    page.locator("#text").press_sequentially("What do you say, @b")
    expect(page.locator("#mentions-list [role=option]")).to_have_count(1)
    expect(page.locator("#text")).to_have_attribute("aria-activedescendant", "mention-0")
    shoot_views(page, "asking-mention")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_value("What do you say, @Bob ")
    page.locator("#text").press_sequentially("and @mod")
    page.keyboard.press("Tab")
    expect(ask).to_have_attribute("aria-pressed", "true")
    page.locator("#text").press_sequentially("?")
    page.keyboard.press("Enter")
    expect(bob.locator(".mention")).to_have_text(["@Bob", "@model"])
    expect(bob.locator(".mention[data-you]")).to_have_text(["@Bob"])
    expect(bob.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    expect(bob.locator(".asked-by").last).to_have_text("Asked by Alice")
    shoot_views(bob, "asking-answered")
    # Ctrl + Enter asks without a mention.
    bob.locator("#text").fill("And how long does it take?")
    bob.locator("#text").press("Control+Enter")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(3)
    bob.reload()
    expect(bob.locator(".mention[data-you]")).to_have_text(["@Bob"])
    expect(bob.locator(".asked-by").last).to_have_text("Asked by you")
    assert [watch.complaints for watch in watched] == [[], []]


def test_writing_while_an_answer_is_written(page: Page, bob: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    share(page, bob, "A long story")
    send(page, "@model tell it [[tokens=2000 rate=20]]")
    expect(bob.locator(".message-assistant[data-status=streaming]")).to_be_visible()
    send(bob, "This takes a while")
    expect(page.locator(".message-user").last).to_contain_text("This takes a while")
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#send")).to_be_visible()
    # What Enter does now, all of it: a message to people does not wait for the answer.
    hint = page.locator("#composer-hint")
    expect(hint).to_have_text("Enter: write to people · Ctrl + Enter: ask the model")
    assert hint.evaluate("hint => hint.scrollHeight <= hint.clientHeight")
    shoot_views(page, "asking-meanwhile")
    page.set_viewport_size({"width": 390, "height": 844})
    for asks, text in ((False, "And then?"), (True, "@model And then?")):  # on a phone, all buttons are in the frame
        page.locator("#text").fill(text)
        expect(page.locator("#ask")).to_have_attribute("aria-pressed", str(asks).lower())
        expect(page.locator("#model")).to_be_visible(visible=asks)
        expect(page.locator("#send")).to_be_visible()
        frame = page.locator("#composer").bounding_box()
        buttons = [one.bounding_box() for one in page.locator(".composer-row > button:visible").all()]
        assert frame
        assert len(buttons) >= 5
        assert all(one and one["x"] + one["width"] <= frame["x"] + frame["width"] for one in buttons), buttons
    page.set_viewport_size({"width": 1280, "height": 720})
    # A question waits until the answer has ended.
    send(page, "@model and the end?")
    expect(bob.locator("#queue .queued-text")).to_have_text(["@model and the end?"])
    page.locator("#stop").click()
    expect(page.locator(".message-assistant[data-status=stopped]")).to_be_visible()
    page.locator("#queue").get_by_role("button", name="Send now").click()
    expect(bob.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    texts = [one["content"] for one in upstream.chats[-1].body["messages"]]
    assert texts[-1] == "Bob: This takes a while\n\nAlice: @model and the end?"


def test_a_mention_elsewhere_and_the_rule(page: Page, bob: Page, stack: Stack) -> None:
    url = share(page, bob, "Something important")
    bob.goto(f"{stack.url}/")
    expect(bob.get_by_role("link", name="Something important")).to_be_visible()
    send(page, "@Bob look here")
    expect(bob.locator("#toasts")).to_contain_text("Alice mentioned you in “Something important”.")
    expect(bob.locator(".item", has_text="Something important").locator(".mention-mark")).to_be_visible()
    shoot_views(bob, "asking-mentioned")
    bob.goto(url)
    expect(bob.locator(".mention[data-you]")).to_have_text(["@Bob"])
    expect(bob.locator(".mention-mark")).to_have_count(0)
    # The rule reaches the other page at once.
    page.get_by_role("button", name="People").click()
    page.get_by_label("When the model answers").select_option("always")
    expect(bob.locator("#ask")).to_have_attribute("aria-pressed", "true")
    bob.locator("#ask").click()
    expect(bob.locator("#ask")).to_have_attribute("aria-pressed", "false")
    send(bob, "Only for you")
    expect(bob.locator("#ask")).to_have_attribute("aria-pressed", "true")  # it was for one message only
    expect(bob.locator(".message-user[data-status=complete]").last).to_contain_text("Only for you")
    send(bob, "And this is for the model")
    expect(bob.locator(".message-assistant[data-status=complete]")).to_have_count(2)


def test_the_page_finds_mentions_where_the_server_does(bare_page: Page) -> None:
    texts = [
        "@model hi", "mail@model.de", "@models", "`@model`", "```\n@model\n```", "```\n@model\n```\n@model?", "@Large?",
        "``a ` @model``", "`open\n\n@model `", "~~~\n@model", "(@MODEL)", "@@model", "@ model", "@mo\u200bdel",
    ]  # fmt: skip
    models = {"large": "large"}
    shown = bare_page.evaluate(
        """async (texts) => {
            const { mentionsModel } = await import("antiphon/conversation/mention-text");
            return texts.map((text) => mentionsModel(text, [{ id: "large", label: "large" }]));
        }""",
        texts,
    )
    assert dict(zip(texts, shown, strict=True)) == {text: bool(find_mentions(text, [], models)) for text in texts}


def test_a_message_that_comes_before_the_one_it_follows(page: Page, bob: Page, stack: Stack) -> None:
    """Two people write at once, and the log has the later message first: neither is missing on the page."""
    url = share(page, bob, "In any order")
    conversation = url.rstrip("/").rpartition("/")[2]
    send(page, "One")
    expect(bob.locator(".message-user").last).to_contain_text("One")
    # What a process writes that dies before it has announced the message, until another one does.
    stack.sql(
        """
        WITH made AS (
            INSERT INTO chat_message (id, conversation_id, parent_id, role, author_id, text, html, status, created_at)
            SELECT gen_random_uuid(), c.id, c.tip_id, 'user', u.id, 'Two', '', 'complete', clock_timestamp()
            FROM chat_conversation c, accounts_user u WHERE c.id = %s AND u.email = 'bob@example.org'
            RETURNING id, conversation_id
        ), waits AS (
            INSERT INTO chat_unannounced (message_id, created_at) SELECT id, clock_timestamp() FROM made
        )
        UPDATE chat_conversation c SET tip_id = made.id FROM made WHERE c.id = made.conversation_id
        """,
        conversation,
    )
    send(page, "Three")
    expect(page.locator(".message-user .message-body")).to_have_text(["In any order", "One", "Two", "Three"])
    expect(bob.locator(".message-user .message-body")).to_have_text(["In any order", "One", "Two", "Three"])
