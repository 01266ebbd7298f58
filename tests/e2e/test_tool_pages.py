"""The pages of tools: My connections with a server that asks for a log-in, a phone, and the rules of accessibility."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, StorageState, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, answers, cookies_of, ended, send, shoot_views
from tests.e2e.test_approvals import MAIL, ask, button, cards
from tests.e2e.test_steps import ISSUES, LIST, READ, SEARCH, TREE, Steps, line
from tests.fakes.mcp_oauth import Authority, make_protected
from tests.fakes.mcp_server import PNG, Running, running
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.tool_rows import QUESTION
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

ADD = """
from chat.models import ToolServer
ToolServer.objects.create(slug="notes", title="Notes", address="{origin}/mcp", auth="oauth")
"""


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server(stack: Stack, authority: Authority) -> Iterator[Running]:
    """A tool server that asks for a log-in, set up by staff."""
    with running(None, make=lambda origin: make_protected(authority, origin)) as made:
        stack.manage("shell", "--no-imports", "--command", ADD.format(origin=made.origin))
        yield made
        stack.sql("DELETE FROM chat_toolconnection")
        stack.sql("DELETE FROM chat_toolserver")
        stack.sql("DELETE FROM chat_knowntool WHERE server = 'notes'")


@pytest.fixture
def phone(browser: Browser, login: StorageState) -> Iterator[Page]:
    """Alice's, with fingers."""
    view = {"width": 390, "height": 844}
    context = browser.new_context(storage_state=login, viewport=view, has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def test_a_connection_is_made_used_and_ended_on_a_phone(
    phone: Page, stack: Stack, server: Running, authority: Authority, upstream: FakeOpenAI
) -> None:
    watch = Watch(phone, stack.url)
    phone.goto(f"{stack.url}/connections/")
    expect(phone.locator(".badge", has_text="Not connected")).to_be_visible()
    phone.get_by_role("button", name="Connect Notes").tap()
    expect(phone.get_by_role("heading", name="Connect to Notes")).to_be_visible()
    assert violations(phone) == []
    phone.get_by_role("link", name="Continue to 127.0.0.1").tap()
    expect(phone.get_by_role("status")).to_contain_text("You are connected to Notes.")
    expect(phone.locator(".badge", has_text="Connected")).to_be_visible()
    assert phone.url == f"{stack.url}/connections/"
    listed(phone)
    shoot_views(phone, "connections", full_page=True)
    assert violations(phone) == []

    phone.goto(stack.url)
    upstream.play(Script(text="Two calls.", calls=[("whoami", {}), ("whoami", {})]))
    upstream.play(Script(text="That is you."))
    phone.locator("#text").fill("Who am I there?")
    phone.locator("#send").tap()
    expect(cards(phone)).to_have_count(2)
    width = phone.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "nothing makes the page wider than a phone"
    for one in cards(phone).first.get_by_role("button").all():
        box = one.bounding_box()
        assert box is not None
        assert box["height"] >= 44, "a finger hits it"
    cards(phone).first.get_by_role("heading").focus()
    for _ in range(6):  # past the scrolling arguments and “Edit arguments”
        if phone.evaluate("document.activeElement.textContent.trim()") == "Allow once":
            break
        phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    expect(cards(phone)).to_have_count(1)
    expect(phone.locator(".decisions li")).to_contain_text("You allowed “whoami”")
    button(phone, "Allow once").tap()
    expect(cards(phone)).to_have_count(0)
    ended(phone)
    phone.locator(".step-group > summary").tap()
    call = phone.locator(".step-call").first
    call.locator("> summary").tap()
    said = b"Bearer access-".hex()  # the token itself would be masked
    expect(call.locator(".call-output")).to_contain_text(re.compile(f"{said}[0-9a-f]+"))

    phone.goto(f"{stack.url}/connections/")
    phone.get_by_role("button", name="Disconnect Notes").tap()
    expect(phone.get_by_role("status")).to_contain_text("Notes")
    expect(phone.locator(".badge", has_text="Not connected")).to_be_visible()
    assert authority.revoked, "its tokens are revoked there"
    assert not stack.sql("SELECT id FROM chat_toolconnection")
    assert [one for one in watch.complaints if "access-" not in one] == []


def test_pages_of_tools_keep_the_rules_of_accessibility(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    """In both themes: steps with a tree, a table, a picture and sources; the approval, the question, the sheet."""
    upstream.play(Script(tokens=1, hang=60))
    send(page, "What is there?")
    expect(answers(page).last.locator(".message-body")).not_to_be_empty()
    steps = Steps(stack)
    source = {"n": 1, "title": "A page", "url": "https://example.org/a", "passage": "Light."}
    steps.do(
        ("begin", (SEARCH, READ, LIST), {}),
        ("end", ("search_web",), {"status": "error", "output": "It failed."}),
        ("end", ("read_page",), {"output": TREE, "sources": [source]}),
        ("end", ("list_issues",), {"output": ISSUES, "files": [("picture.png", "image/png", PNG)]}),
    )
    page.get_by_role("button", name="Stop the answer").click()
    expect(answers(page).last).to_have_attribute("data-status", "stopped")
    page.locator(".step-group > summary").click()
    for title in ("Search the web", "Read a page", "List issues"):
        line(page, title).click()
    picture = page.locator(".file-chip img")
    expect(picture).to_be_visible()
    page.wait_for_function("() => document.querySelector('.file-chip img').naturalWidth === 1")
    shoot_views(page, "steps-with-a-picture")
    check(page)
    page.locator("#tools-button").click()
    expect(page.locator(".tools-list li").first).to_be_visible()
    check(page)
    page.goto(ask(stack, MAIL))
    expect(cards(page)).to_be_visible()
    check(page)
    button(page, "Edit arguments").click()
    check(page)
    page.goto(ask(stack, {**MAIL, "title": "Book a flight"}, question=QUESTION))
    expect(cards(page)).to_be_visible()
    check(page)


def test_staff_pages_of_tools_keep_the_rules_of_accessibility(
    playwright: Playwright, browser: Browser, stack: Stack
) -> None:
    ask(stack, MAIL)
    [row] = stack.sql("SELECT id FROM chat_toolcall ORDER BY created_at DESC LIMIT 1")
    made = "from accounts.models import User\nfrom tests.stack import PASSWORD\n"
    made += "User.objects.create_superuser('wilma@example.org', PASSWORD, name='Wilma')"
    stack.manage("shell", "--no-imports", "--command", made)
    context = browser.new_context(
        storage_state=cookies_of(playwright, stack, "wilma"), viewport={"width": 1280, "height": 900}
    )
    staff = context.new_page()
    found: dict[str, list[str]] = {}
    for path in (f"chat/toolcall/{row['id']}/change/", "tools/", "tools/stop/", "chat/toolpolicy/add/"):
        staff.goto(f"{stack.url}/admin/{path}")
        shoot_views(staff, "staff-" + path.split("/")[-2] if "change" not in path else "staff-call", full_page=True)
        found[path] = violations(staff, "#content, main")
    assert not any(found.values()), json.dumps(found, indent=1)
    context.close()


def listed(page: Page) -> None:
    """Waits until a worker has listed the server's tools; the page says so, and shows them when it is loaded again."""
    for _ in range(80):
        if page.locator(".connection-tools").count():
            break
        expect(page.get_by_text("Its tools are being listed.")).to_be_visible()
        page.wait_for_timeout(250)
        page.reload()
    page.get_by_text(re.compile(r"^\d tools?$")).tap()
    expect(page.locator(".connection-tools")).to_contain_text("whoami")


def check(page: Page) -> None:
    """Nothing breaks a rule, in the light and in the dark."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(300)  # colours change slowly, and axe measures them
        assert violations(page) == [], theme
    page.emulate_media(color_scheme="light")
