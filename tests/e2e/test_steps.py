"""The steps of an answer in a real browser: as they happen, after a reload, opened, by ear; and the choice of tools."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.browsing import Watch, answers, ended, send, shoot_views
from tests.e2e.test_conversation import pasted
from tests.e2e.test_thinking import LISTEN
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack
from tests.unit.chat.markdown.test_rendering import HOSTILE

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

SEARCH = {"name": "search_web", "title": "Search the web", "effect": "reads", "arguments": {"query": "light on Mars"}}
READ = {"name": "read_page", "title": "Read a page", "effect": "reads", "arguments": {"url": "https://example.org/a"}}
LIST = {"name": "list_issues", "title": "List issues", "server": "tracker", "arguments": {"state": "open"}}
MAIL = {"name": "send_mail", "title": "Send a mail", "server": "office", "arguments": {"to": "bob@example.org"}}
ISSUES = [{"id": 7, "title": "The lamp flickers", "open": True}, {"id": 9, "title": "<b>No</b> power", "open": False}]
TREE = {"place": {"name": "Gale", "depth_km": 5.5, "crater": True}, "notes": ["<img src=x onerror=alert(1)>", None]}


class Steps:
    """What a worker writes of the run that is in progress."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        [row] = stack.sql("SELECT id FROM chat_run WHERE status = 'running' ORDER BY created_at DESC LIMIT 1")
        self.run_id = str(row["id"])

    def do(self, *calls: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
        """Each: a function of tests/fakes/tool_steps.py with what it gets after the run's id."""
        lines = ["from tests.fakes import tool_steps"]
        for name, args, fields in calls:
            given = ", ".join(map(repr, args))
            lines.append(f"tool_steps.{name}({self.run_id!r}{', ' if args else ''}{given}, **{fields!r})")
        self.stack.manage("shell", "--no-imports", "--command", "\n".join(lines))


def call(page: Page, title: str) -> Any:
    return answers(page).last.locator(".step-call", has=page.locator(".call-title", has_text=title))


def line(page: Page, title: str) -> Any:
    return call(page, title).locator("> summary")


def heard(page: Page) -> list[str]:
    return [one for one in page.evaluate("window.heard") if "tool" in one or "done" in one or "Failed" in one]


def test_steps_are_shown_as_they_happen(
    page: Page, context: BrowserContext, stack: Stack, upstream: FakeOpenAI
) -> None:
    """Live in two tabs and after a reload in the middle: a line for each call, several of one step folded, opened."""
    watch = Watch(page, stack.url)
    page.add_init_script(LISTEN)
    page.reload()
    upstream.play(Script(tokens=1, hang=60))
    send(page, "Is there light on Mars?")
    expect(answers(page).last.locator(".message-body")).not_to_be_empty()
    expect(answers(page).last.locator(".steps")).to_have_count(0)
    other = context.new_page()
    other.goto(page.url)
    steps = Steps(stack)
    steps.do(("begin", (SEARCH,), {}), ("progress", ("search_web", "Searching for “light on Mars”"), {}))
    for one in (page, other):
        expect(line(one, "Search the web")).to_have_text(re.compile(r"Search the web\s+light on Mars\s+Running…"))
        expect(answers(one).last.locator(".call-progress")).to_have_text("Searching for “light on Mars”")
    page.wait_for_function("() => window.heard.some((one) => one.startsWith('Using a tool'))")
    shoot_views(page, "steps-running")
    page.reload()
    expect(line(page, "Search the web")).to_contain_text("Running…")
    found = "Mars gets **43 %** of the light.\n" * 300
    steps.do(
        ("end", ("search_web",), {"output": found[:9_000], "output_chars": len(found) * 9, "ms": 1_240}),
        ("begin", (READ, LIST, MAIL), {}),
    )
    for one in (page, other):
        expect(line(one, "Search the web")).to_have_text(re.compile(r"Search the web\s+light on Mars\s+1\.2 s"))
        expect(answers(one).last.locator(".step-group").last).to_have_attribute("open", "")
        expect(line(one, "List issues")).to_contain_text("tracker")
    page.wait_for_function("() => window.heard.includes('Using 3 tools.')")
    steps.do(
        ("end", ("read_page",), {"output": TREE, "files": [("notes.csv", "text/csv", b"a,b\n1,2\n")]}),
        ("end", ("list_issues",), {"output": ISSUES}),
        ("end", ("send_mail",), {"status": "error", "output": "The \x1b[31mserver\x1b[0m refused it.", "ms": 2_300}),
    )
    group = answers(page).last.locator(".step-group").last
    for one in (page, other):
        folded = answers(one).last.locator(".step-group").last
        expect(folded.locator("> summary")).to_have_text(re.compile(r"3 tools · 1 failed\s*2\.3 s"))
        expect(folded).not_to_have_attribute("open", "")
    page.wait_for_function("() => window.heard.includes('3 tools have ended. 1 failed.')")
    page.get_by_role("button", name="Stop the answer").click()
    ended(page)
    for _ in range(2):  # as it came, and as history
        group.locator("> summary").click()
        words = r"Send a mail\s+bob@example.org\s+office\s+Failed\s+2\.3 s"
        expect(line(page, "Send a mail")).to_have_text(re.compile(words))
        line(page, "Send a mail").click()
        expect(call(page, "Send a mail").locator(".call-output pre")).to_have_text("The server refused it.")
        line(page, "List issues").click()
        cells = call(page, "List issues").locator("table td")
        expect(cells).to_have_text(["7", "The lamp flickers", "true", "9", "<b>No</b> power", "false"])
        line(page, "Read a page").click()
        tree = call(page, "Read a page").locator(".call-output .value")
        expect(tree.locator(".value-string")).to_have_text(["Gale", "<img src=x onerror=alert(1)>"])
        line(page, "Search the web").click()
        expect(call(page, "Search the web").locator(".value-note")).to_contain_text("The first 9,000 of")
        assert answers(page).last.locator(".steps :is(b, img, script, a:not(.file-chip))").count() == 0
        chip = answers(page).last.locator(".file-chip")
        expect(chip).to_have_text(re.compile(r"notes\.csv\s+8 bytes"))
        assert re.fullmatch(r"/files/[0-9a-f-]{36}/", chip.get_attribute("href") or "")
        shoot_views(page, "steps-open", full_page=True)
        page.reload()
        expect(group.locator("> summary")).to_have_text(re.compile(r"3 tools · 1 failed\s*2\.3 s"))
    assert heard(page) == [], "history is not read out"
    assert watch.complaints == []
    assert watch.foreign == []


def test_results_are_text_and_copied_as_they_are(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    """Whatever a tool returns: no element is made of it, and the button copies it unchanged."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    watch = Watch(page, stack.url)
    upstream.play(Script(tokens=1, hang=60))
    send(page, "Show me")
    expect(answers(page).last.locator(".message-body")).not_to_be_empty()
    steps = Steps(stack)
    output = "\n".join(HOSTILE)[:12_000].replace("\0", "").replace("\r", "")
    steps.do(
        ("begin", ({**READ, "arguments": '{"url": "https://exam'},), {}),
        ("end", ("read_page",), {"output": output}),
    )
    line(page, "Read a page").click()
    expect(call(page, "Read a page").locator(".call-arguments pre")).to_have_text('{"url": "https://exam')
    assert call(page, "Read a page").locator(".call-output pre *").count() == 0
    call(page, "Read a page").get_by_role("button", name="Copy the result").click()
    expect(call(page, "Read a page").locator(".call-output use[href$='#check']")).to_have_count(1)
    assert pasted(page, output) == output
    # The run ends while another call runs: nothing goes on turning.
    steps.do(("begin", (SEARCH,), {}))
    expect(line(page, "Search the web")).to_contain_text("Running…")
    page.get_by_role("button", name="Stop the answer").click()
    ended(page)
    expect(line(page, "Search the web")).to_contain_text("Cancelled")
    assert watch.complaints == []


def await_tools(page: Page) -> None:
    """Reloads the page until the worker has published its tools, and the web process knows."""
    for _ in range(40):
        if page.locator("#tools-button").is_visible():
            return
        page.wait_for_timeout(1_000)
        page.reload()


def open_tools(page: Page) -> Locator:
    page.get_by_role("button", name="Tools").click()
    sheet = page.get_by_role("dialog", name="Tools")
    expect(sheet.locator("input").first).to_be_visible()
    return sheet


def test_tools_are_chosen_for_a_conversation(
    page: Page, context: BrowserContext, stack: Stack, upstream: FakeOpenAI
) -> None:
    """Before its first message, in another tab, back to the defaults, and while staff have stopped all tools."""
    watch = Watch(page, stack.url)
    button = page.locator("#tools-button")
    await_tools(page)
    sheet = open_tools(page)
    expect(page.get_by_role("heading", name="Tools", exact=True)).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "true")
    first = sheet.locator("input").first
    was = first.is_checked()
    first.click()
    expect(sheet.locator(".parameters-status")).to_have_text("Will be sent with your message")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(button).to_be_focused()
    expect(button).to_have_accessible_name("Tools, changed")
    page.reload()
    expect(button).to_have_accessible_name("Tools, changed")
    send(page, "Hello [[tokens=2]]")
    ended(page)
    [row] = stack.sql("SELECT tools FROM chat_conversation WHERE id = %s", page.url.split("/")[-2])
    assert isinstance(row["tools"], list)
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator("#tools-button")).to_have_accessible_name("Tools, changed")
    sheet = open_tools(page)
    assert sheet.locator("input").first.is_checked() != was
    shoot_views(page, "tools-sheet")
    page.get_by_role("button", name="Use the defaults").click()
    expect(sheet.locator(".parameters-status")).to_have_text("Saved")
    expect(other.locator("#tools-button")).to_have_accessible_name("Tools")
    assert sheet.locator("input").first.is_checked() == was
    page.get_by_role("button", name="Close", exact=True).last.click()
    stack.sql(
        "INSERT INTO chat_toolswitch (id, stopped, reason, changed_at) VALUES (1, true, 'A server misbehaves.', now())"
        " ON CONFLICT (id) DO UPDATE SET stopped = true, reason = EXCLUDED.reason RETURNING id"
    )
    try:
        page.wait_for_timeout(700)  # each process reads it twice a second
        button.click()
        expect(page.locator(".tools-stopped")).to_have_text("Tools are switched off for now. A server misbehaves.")
    finally:
        stack.sql("DELETE FROM chat_toolswitch RETURNING id")
    assert watch.complaints == []
