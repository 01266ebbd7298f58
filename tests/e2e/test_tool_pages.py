"""The pages of tools: My connections with a server that asks for a log-in, a phone, and the rules of accessibility."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, StorageState, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, answers, cookies_of, ended, known_model, send, shoot_views
from tests.e2e.test_approvals import MAIL, ask, button, cards
from tests.e2e.test_steps import ISSUES, LIST, READ, SEARCH, TREE, Steps, await_tools, line
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


def test_a_conversation_has_rules_of_its_own(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    """How often tools ask in it, and lower limits: changed in the sheet, kept, and applied to the next answer."""
    await_tools(page)
    send(page, "Hello [[tokens=2]]")
    ended(page)
    page.locator("#tools-button").click()
    asks, rounds = page.get_by_label("Before calls"), page.get_by_label("Rounds of calls")
    trouble, status = page.locator(".tools-rules [role=alert]"), page.locator("#tools .parameters-status")
    asks.select_option("always")
    expect(status).to_have_text("Saved")
    page.get_by_text("Limits of an answer with tools").click()
    expect(rounds).to_have_attribute("placeholder", "12")
    rounds.fill("many")
    rounds.press("Tab")
    expect(trouble).to_have_text("Not saved. Enter a whole number from 0 to 1,000.")
    expect(rounds).to_have_attribute("aria-invalid", "true")
    shoot_views(page, "tool-rules")
    check(page)
    rounds.fill("3")
    rounds.press("Tab")
    expect(trouble).to_be_hidden()
    expect(status).to_have_text("Saved")
    page.reload()
    page.locator("#tools-button").click()
    expect(asks).to_have_value("always")
    expect(rounds).to_have_value("3")
    page.locator("#tools [data-close]").click()
    upstream.play(Script(calls=[("current_time", {"time_zone": "UTC"})]))
    send(page, "What time is it?")
    expect(cards(page)).to_have_count(1)
    expect(cards(page)).to_contain_text("In this conversation, each call asks.")
    button(page, "Deny").click()
    ended(page, 2)


def test_images_that_the_model_does_not_see(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    """The picker says that it sees none, and a call that returned one that it read only that there is one."""
    said = "small does not see images: it read only that there is one."
    with known_model(page, stack, "small", sees=False):
        page.reload()
        upstream.play(Script(tokens=1, hang=60))
        send(page, "What is on it?")
        expect(answers(page).last.locator(".message-body")).not_to_be_empty()
        files = {"files": [("picture.png", "image/png", PNG)]}
        Steps(stack).do(("begin", (READ,), {}), ("end", ("read_page",), files))
        expect(page.locator(".call-unseen")).to_have_text(said)
        page.get_by_role("button", name="Stop the answer").click()
        expect(answers(page).last).to_have_attribute("data-status", "stopped")
        page.reload()
        expect(page.locator(".call-unseen")).to_have_text(said)
        shoot_views(page, "steps-unseen")
        page.locator("#model").click()
        row = page.get_by_role("option").filter(has_text="small")
        expect(row.locator(".choice-about")).to_contain_text("No images")
        expect(row).to_have_accessible_name(re.compile("no images"))
        shoot_views(page, "picker-no-images")


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
