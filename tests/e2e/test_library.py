"""The prompt library at the message field, and a preset with starters, as a person uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route, StorageState, expect

from tests.e2e.browsing import Watch, choose_model, ended, shoot
from tests.stack import Stack

COUNT = 500
SETUP = f"""
from accounts.models import User
from chat.models import Preset, Prompt
alice = User.objects.get(email="alice@example.org")
Prompt.objects.bulk_create(
    Prompt(owner=alice, name=f"note-{{number:03}}", title=f"Note {{number}}", text="A note.")
    for number in range({COUNT - 3})
)
Prompt.objects.create(owner=alice, name="greeting", title="Greet somebody",
    text="Good morning, all of you.\\nSecond line.")
Prompt.objects.create(owner=alice, name="review", title="Review code",
    text="Review this {{{{language|Python}}}} code of {{{{date}}}}:\\n{{{{code}}}}")
Prompt.objects.create(name="summary", title="Sum up", text="Sum up {{{{text}}}}")
Preset.objects.create(owner=alice, name="Pirate", description="Arr.", system_prompt="Talk like a pirate.",
    starters=["Where is the gold? [[tokens=3]]", "Sing a shanty"])
"""

SERVER = """
from chat.models import ToolServer
ToolServer.objects.create(slug="wiki", title="Wiki", address="https://wiki.example", prompts=[{"name": "write"}])
"""


@pytest.fixture(scope="module", autouse=True)
def library(stack: Stack) -> Iterator[None]:
    """Alice's 500 prompts, of which one is staff's, and her preset."""
    stack.manage("shell", "--no-imports", "-c", SETUP)
    yield
    stack.sql("UPDATE chat_conversation SET preset_id = NULL")
    for table in ("chat_prompt", "chat_preset"):
        stack.sql(f"DELETE FROM {table}")  # noqa: S608 -- other tests have the stack to themselves again


def active(page: Page) -> str:
    """The name of the prompt that the field names as active; it must be in view."""
    named = page.locator("#text").get_attribute("aria-activedescendant")
    row = page.locator(f"#{named}")
    expect(row).to_be_in_viewport(ratio=0.9)
    return row.locator(".prompt-name").inner_text()


@pytest.mark.timeout(180)
def test_a_prompt_is_found_and_filled_in_by_keyboard(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    field, options, popup = page.locator("#text"), page.locator("#prompts [role=option]"), page.locator("#prompts")
    field.focus()
    page.keyboard.type("/")
    expect(popup).to_be_visible()
    expect(options.first).to_have_attribute("aria-setsize", str(COUNT))
    expect(page.locator("#prompts [role=status]")).to_have_text(f"{COUNT} prompts")
    assert options.count() < 60, "only what can be seen is made"
    assert active(page) == "/greeting"
    shoot(page, "prompts-list")
    page.keyboard.press("ArrowUp")
    assert active(page) == "/summary", "around the end"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("PageDown")
    assert active(page) == "/note-005"

    page.keyboard.type("gree")
    expect(options).to_have_count(1)
    expect(options.first).to_have_accessible_name("greeting, Greet somebody")
    page.keyboard.press("Enter")
    expect(field).to_have_value("Good morning, all of you.\nSecond line.")
    expect(popup).to_be_hidden()
    expect(field).to_be_focused()
    assert page.locator(".message").count() == 0, "nothing is sent"

    field.fill("")
    page.keyboard.type("/rev")
    expect(options.first).to_be_visible()
    page.keyboard.press("Tab")
    form = page.get_by_role("dialog", name="Review code")
    expect(form.get_by_label("language")).to_be_focused()
    expect(form.get_by_label("language")).to_have_value("Python")
    shoot(page, "prompts-form")
    page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    expect(field).to_be_focused()
    expect(field).to_have_value("/rev")

    field.fill("")
    page.keyboard.type("/review")
    expect(options).to_have_count(1)
    page.keyboard.press("Enter")
    expect(form.get_by_label("language")).to_be_focused()
    page.keyboard.type("Rust")
    page.keyboard.press("Tab")
    page.keyboard.type("fn main() {}")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("// {{end}}")
    page.keyboard.press("Enter")
    today = page.evaluate("new Date(Date.now() - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 10)")
    expect(field).to_have_value(f"Review this Rust code of {today}:\nfn main() {{}}\n// {{{{end}}}}")
    assert page.locator(".message").count() == 0
    assert not watch.complaints
    assert not watch.foreign


def test_a_text_that_names_no_prompt_is_sent_as_it_is(page: Page) -> None:
    field, popup = page.locator("#text"), page.locator("#prompts")
    field.focus()
    page.keyboard.type("/")
    expect(popup).to_be_visible()
    page.keyboard.press("Escape")
    expect(popup).to_be_hidden()
    page.keyboard.type("note")
    expect(popup).to_be_hidden()
    field.fill("")
    page.keyboard.type("/")
    expect(popup).to_be_visible()
    page.keyboard.type("etc/hosts [[tokens=2]]")
    expect(popup).to_be_hidden()
    page.keyboard.press("Enter")
    ended(page)
    expect(page.locator(".message-user").first).to_contain_text("/etc/hosts")


def test_a_preset_shows_its_starters(page: Page, stack: Stack) -> None:
    buttons = page.locator(".suggestions button")
    expect(buttons).to_have_count(4)
    usual = buttons.first.inner_text()
    choose_model(page, "Pirate")
    expect(buttons).to_have_count(2)
    expect(buttons.first).to_contain_text("Where is the gold?")
    shoot(page, "presets-starters")
    choose_model(page, "small")
    expect(buttons.first).to_have_text(usual)
    page.goto(f"{stack.url}/presets/")
    page.get_by_role("link", name="Start a conversation with Pirate").click()
    expect(page.locator("#model")).to_contain_text("Pirate")
    expect(buttons).to_have_count(2)
    buttons.first.click()
    ended(page)
    expect(page.locator("#preset")).to_have_text("Pirate")
    expect(page.locator(".message-user").first).to_contain_text("Where is the gold?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_prompt_by_touch_on_a_phone(
    browser: Browser, login: StorageState, stack: Stack, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(
        storage_state=login, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(f"{stack.url}/")
    page.locator("#text").tap()
    page.locator("#text").press_sequentially("/sum")
    found = page.get_by_role("option", name="summary, Sum up")
    expect(found).to_be_in_viewport(ratio=1)
    shoot(page, f"prompts-phone-{scheme}")
    found.tap()
    field = page.get_by_role("dialog", name="Sum up").get_by_label("text")
    field.fill("this")
    shoot(page, f"prompts-form-phone-{scheme}")
    page.get_by_role("button", name="Insert").tap()
    expect(page.locator("#text")).to_have_value("Sum up this")
    for name in ("presets", "presets/new", "prompts", "prompts/new", "accounts/settings"):
        page.goto(f"{stack.url}/{name}/")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        shoot(page, f"page-{name.replace('/', '-')}-phone-{scheme}")
        page.set_viewport_size({"width": 1280, "height": 900})
        shoot(page, f"page-{name.replace('/', '-')}-desk-{scheme}")
        page.set_viewport_size({"width": 390, "height": 844})
    context.close()


@pytest.fixture
def wiki_server(stack: Stack) -> Iterator[None]:
    """A tool server with a prompt."""
    stack.manage("shell", "--no-imports", "-c", SERVER)
    yield
    stack.sql("DELETE FROM chat_toolserver")


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("wiki_server")
def test_a_prompt_of_a_tool_server(page: Page, stack: Stack) -> None:
    """It is beside those of the library; its fields are asked for, and the server's text is for the person to send."""
    watch = Watch(page, stack.url)
    asked: list[str] = []
    wiki = {
        "server_id": "5f0c0c5e-0000-4000-8000-000000000001", "server": "Wiki", "name": "write article",
        "title": "Write an article", "description": "",
        "arguments": [{"name": "topic", "description": "What it is about.", "required": True}],
    }  # fmt: skip

    def fill_in(route: Route) -> None:
        asked.append(route.request.post_data or "")
        if len(asked) == 1:
            route.fulfill(status=503, json={"code": "unavailable", "message": "Wiki cannot be reached."})
        else:
            route.fulfill(json={"text": "Write about cats, please."})

    for _ in range(60):  # web processes look every few seconds
        page.reload()
        if page.evaluate("JSON.parse(document.getElementById('page').textContent).tools.prompts"):
            break
        page.wait_for_timeout(500)
    page.route("**/connections/prompts/", lambda route: route.fulfill(json={"prompts": [wiki]}))
    page.route("**/connections/*/prompt/", fill_in)
    field, options = page.locator("#text"), page.locator("#prompts [role=option]")
    field.focus()
    page.keyboard.type("/write")
    expect(options.first).to_have_accessible_name("write-article, Write an article, from Wiki")
    page.keyboard.press("Enter")
    topic = page.get_by_role("textbox", name="topic")
    expect(topic).to_be_focused()
    expect(topic).to_have_accessible_description("What it is about.")
    page.keyboard.press("Enter")
    expect(topic).to_be_visible()
    page.keyboard.type("cats")
    shoot(page, "prompts-of-a-server")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Wiki cannot be reached.")
    expect(field).to_have_value("/write")
    field.fill("")
    page.keyboard.type("/write")
    expect(options.first).to_be_visible()
    page.keyboard.press("Enter")
    expect(topic).to_be_focused()
    page.keyboard.type("cats")
    page.keyboard.press("Enter")
    expect(field).to_have_value("Write about cats, please.")
    assert "name=write+article" in asked[1]
    assert page.locator(".message-user").count() == 0, "nothing is sent by itself"
    assert not [one for one in watch.complaints if "503" not in one]
