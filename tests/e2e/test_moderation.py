"""What people see of moderation: refused, masked and held messages, in a real browser. What is withheld is nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
from playwright.sync_api import Browser, Page, expect
from psycopg import sql

from tests.e2e.browsing import ended, log_in, send, shoot
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)

RULES = """
from chat.models import ModerationRule
for action, notice in (("block", "No walruses here."), ("mask", ""), ("hold", "")):
    ModerationRule.objects.create(
        name=action, enabled=True, action=action, patterns=f"zq{action}[0-9]+", directions=["asked"], notice=notice
    )
"""
DECIDE = """
from chat.models import ModerationCase
from chat.turns.releasing import refuse_held, release_held
print({call}(ModerationCase.objects.filter(action="hold").latest("opened_at").pk{more}).state)
"""
BLOCKED, MASKED, HELD = "zqblock4711", "zqmask4712", "zqhold4713"
DONE = ".message-user .moderated"
SIZES = (("desktop", 1280, 800), ("phone", 390, 844))


@pytest.fixture(scope="module", autouse=True)
def rules(browser: Browser, stack: Stack, login: Any) -> Iterator[None]:
    """Rules in force in the web process: it reads them within 5 seconds."""
    stack.manage("shell", "--no-imports", "-c", RULES)
    context = browser.new_context(storage_state=login)
    page = context.new_page()
    for _ in range(120):
        page.goto(f"{stack.url}/")
        connected(page)
        send(page, "zqblock1")
        expect(page.locator("#refused:not([hidden]), .message-assistant").first).to_be_visible()
        if page.locator("#refused").is_visible():
            break
    page.locator("#text").fill("")
    context.close()
    yield
    for table in ("chat_moderationcase", "chat_moderationrule", "chat_conversation"):
        stack.sql(f"TRUNCATE {table} CASCADE")


@pytest.fixture
def bob(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page of Bob's, who is not a member yet."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    yield log_in(context, stack, "bob")
    context.close()


def connected(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")


def pictures(page: Page, name: str) -> None:
    """Pictures for a person to look at, where PICTURES says."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        for size, width, height in SIZES[::-1]:
            page.set_viewport_size({"width": width, "height": height})
            shoot(page, f"{name}-{size}-{scheme}")


def decide(stack: Stack, call: str, more: str = "") -> None:
    stack.manage("shell", "--no-imports", "-c", DECIDE.format(call=call, more=more))


def hold(page: Page, text: str) -> str:
    """Sends a message that is held; the id of its conversation."""
    connected(page)
    send(page, text)
    expect(page.locator(DONE)).to_contain_text("Waiting for a reviewer.")
    page.wait_for_url("**/c/*/")
    return page.url.rstrip("/").rpartition("/")[2]


def add_bob(stack: Stack, conversation_id: str) -> None:
    stack.sql(
        "INSERT INTO chat_member (conversation_id, user_id, role, joined_at)"
        " SELECT %s, id, 'editor', now() FROM accounts_user WHERE email = 'bob@example.org'",
        conversation_id,
    )
    # No page has been told of him: each message goes on asking the model.
    stack.sql("UPDATE chat_conversation SET answers = 'always' WHERE id = %s", conversation_id)


def received(page: Page) -> list[str]:
    """The frames that a page receives from now on."""
    frames: list[str] = []
    page.on("websocket", lambda wire: wire.on("framereceived", lambda data: frames.append(str(data))))
    return frames


def everything_kept(stack: Stack) -> str:
    """Every row but cases', every key of Redis, every line of every log."""
    found = [process.output() for process in stack.processes]
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            if table != "chat_moderationcase":
                query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
                found += [row[0] for row in connection.execute(query)]
    client = redis.Redis.from_url(stack.redis.url)
    found += [repr(client.dump(name)) for name in client.scan_iter()]
    client.close()
    return "\n".join(found)


def test_a_refused_message_is_in_the_field_with_the_reason(page: Page) -> None:
    connected(page)
    send(page, f"Where does {BLOCKED} live?")
    note = page.locator("#refused")
    expect(note).to_contain_text("No walruses here.")
    expect(page.locator("#text")).to_have_value(f"Where does {BLOCKED} live?")
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator(".message")).to_have_count(0)
    expect(note.get_by_role("link", name="See your cases")).to_have_attribute("href", "/cases/")
    pictures(page, "moderation-refused")
    page.locator("#text").press("Shift+Tab")
    expect(note.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(note).to_be_hidden()
    expect(page.locator("#text")).to_be_focused()
    page.locator("#text").fill("Where do they live? [[tokens=2]]")
    page.locator("#text").press("Enter")
    ended(page)


def test_a_masked_message_says_so(page: Page) -> None:
    connected(page)
    send(page, f"Meet {MASKED} here [[tokens=2]]")
    body = page.locator(".message-user .message-body")
    expect(body).to_have_text("Meet *** here [[tokens=2]]")
    for _ in range(2):
        ended(page)
        expect(body).to_have_text("Meet *** here [[tokens=2]]")
        expect(page.locator(DONE)).to_contain_text("Parts of this message were replaced.")
        expect(page.locator(DONE).get_by_role("link", name="Appeal")).to_be_visible()
        pictures(page, "moderation-masked")
        page.reload()


def test_a_held_message_waits_and_goes_on_live(page: Page, bob: Page, stack: Stack) -> None:
    conversation_id = hold(page, f"About {HELD} [[tokens=2]]")
    add_bob(stack, conversation_id)
    bob.goto(page.url)
    connected(bob)
    expect(bob.locator(DONE)).to_contain_text("A message is waiting for a reviewer.")
    expect(bob.get_by_role("button", name="Withdraw")).to_be_hidden()
    for _ in range(2):
        expect(page.locator(DONE)).to_contain_text("Waiting for a reviewer.")
        expect(page.get_by_role("button", name="Withdraw")).to_be_visible()
        expect(page.locator("#stop")).to_be_visible()
        expect(page.locator(".message-assistant")).to_be_hidden()
        pictures(page, "moderation-held")
        page.reload()
        connected(page)
    decide(stack, "release_held")
    for one in (page, bob):
        expect(one.locator(".message-user .message-body")).to_have_text(f"About {HELD} [[tokens=2]]")
        expect(one.locator(DONE)).to_be_hidden()
        ended(one)
    expect(page.locator("#title")).to_contain_text("About")


def test_a_held_message_is_withdrawn_by_keyboard(page: Page) -> None:
    hold(page, f"About {HELD}")
    page.get_by_role("button", name="Withdraw").focus()
    page.keyboard.press("Enter")
    expect(page.locator(DONE)).to_contain_text("This message was withdrawn.")
    expect(page.locator("#text")).to_have_value(f"About {HELD}")
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#stop")).to_be_hidden()
    page.reload()
    expect(page.locator(DONE)).to_contain_text("This message was withdrawn.")


def test_a_held_message_that_asks_nobody_is_withdrawn(page: Page, bob: Page, stack: Stack) -> None:
    connected(page)
    send(page, "First [[tokens=2]]")
    ended(page)
    add_bob(stack, page.url.rstrip("/").rpartition("/")[2])
    stack.sql("UPDATE chat_conversation SET answers = ''")
    page.reload()
    connected(page)
    send(page, f"Only for Bob: {HELD}")
    expect(page.locator(DONE).last).to_contain_text("Waiting for a reviewer.")
    page.get_by_role("button", name="Withdraw").click()
    for one in (page, bob):
        expect(one.locator(".message-user.is-last .message-deleted")).to_have_text("This message was deleted.")
        if one is page:
            expect(page.locator("#text")).to_have_value(f"Only for Bob: {HELD}")
            bob.goto(page.url)
    decide(stack, "release_held")
    page.reload()
    expect(page.locator(".message-user.is-last .message-deleted")).to_be_visible()


def test_a_reviewer_refuses_it(page: Page, stack: Stack) -> None:
    hold(page, f"About {HELD}")
    decide(stack, "refuse_held", ", 'Not in this class.'")
    for _ in range(2):
        expect(page.locator(DONE)).to_contain_text("This message was refused. Not in this class.")
        expect(page.locator(DONE).get_by_role("link", name="Appeal")).to_be_visible()
        expect(page.locator(".message-assistant")).to_be_hidden()
        pictures(page, "moderation-rejected")
        stack.sql("UPDATE chat_member SET seen_until = '2000-01-01'")  # the answer is unread, so a line is before it
        page.reload()
    connected(page)
    send(page, "Something else [[tokens=2]]")
    expect(page.locator(".message-assistant.is-last[data-status=complete]")).to_be_visible()


def test_what_is_withheld_is_nowhere_but_in_its_case(page: Page, bob: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    canary = "90210"
    seen = received(page)
    page.reload()
    connected(page)
    send(page, f"Meet zqmask{canary} [[tokens=2]]")
    ended(page)
    add_bob(stack, page.url.rstrip("/").rpartition("/")[2])
    theirs = received(bob)
    bob.goto(page.url)
    connected(bob)
    send(page, f"A zqblock{canary}")
    expect(page.locator("#refused")).to_be_visible()
    page.locator("#text").fill("")
    send(page, f"About zqhold{canary}")
    expect(page.locator(DONE).last).to_contain_text("Waiting for a reviewer.")
    expect(bob.locator(DONE).last).to_contain_text("A message is waiting for a reviewer.")
    bob.reload()
    expect(bob.locator(DONE).last).to_contain_text("A message is waiting for a reviewer.")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator(DONE).last).to_contain_text("This message was withdrawn.")
    page.locator("#text").fill("And now? [[tokens=2]]")
    page.locator("#text").press("Enter")
    expect(page.locator(".message-assistant.is-last[data-status=complete]")).to_be_visible()
    assert len(stack.sql("SELECT id FROM chat_moderationcase WHERE original LIKE %s", f"%{canary}%")) == 3
    assert seen
    assert theirs
    assert not [frame for frame in [*seen, *theirs] if canary in frame]
    assert canary not in bob.content()
    assert canary not in everything_kept(stack)
    assert canary not in repr(upstream.requests)
