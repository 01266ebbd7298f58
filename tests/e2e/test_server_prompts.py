"""A prompt of a real MCP server in the message field: from the page over the endpoints and a worker to the server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.browsing import Watch, ended, shoot_views
from tests.fakes.mcp_server import Running, Seen, make_server, running
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

ADD = """
from asgiref.sync import async_to_sync
from chat.models import ToolServer
from workers.tools.servers.refresh import refresh
server = ToolServer.objects.create(slug="greeter", title="Greeter", address="{origin}/mcp")
async_to_sync(refresh)(server.pk)
"""

CLOSINGS = """() => {
  window.closings = 0;
  const popup = document.getElementById("prompts");
  const closed = () => { if (popup.hidden) window.closings += 1; };
  new MutationObserver(closed).observe(popup, {attributes: true, attributeFilter: ["hidden"]});
}"""


@pytest.fixture
def server(stack: Stack) -> Iterator[Running]:
    with running(make_server(Seen()).streamable_http_app()) as made:
        stack.manage("shell", "--no-imports", "--command", ADD.format(origin=made.origin))
        yield made
        stack.sql("DELETE FROM chat_toolserver")
        stack.sql("DELETE FROM chat_knowntool WHERE server = 'greeter'")


def test_a_prompt_is_filled_in_by_its_server(page: Page, stack: Stack, server: Running) -> None:
    watch = Watch(page, stack.url)
    for _ in range(60):  # web processes look every few seconds
        page.goto(stack.url)
        if page.evaluate("JSON.parse(document.getElementById('page').textContent).tools.prompts"):
            break
        page.wait_for_timeout(500)
    field, options = page.locator("#text"), page.locator("#prompts [role=option]")
    # Each letter asks for the list while it is not there. It never closes again: Enter would send the letters then.
    page.evaluate(CLOSINGS)
    held: list[Route] = []
    page.route(f"{stack.url}/prompts/library/", lambda route: held.append(route))
    field.focus()
    with page.expect_request(f"{stack.url}/prompts/library/"):
        page.keyboard.type("/greet")
    while not held:
        page.wait_for_timeout(50)
    held.pop(0).continue_()
    expect(options.first).to_have_accessible_name("greet, Greet somebody, from Greeter")
    for route in held:
        route.continue_()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.closings") == 0
    page.unroute_all(behavior="wait")
    shoot_views(page, "server-prompt")
    page.keyboard.press("Enter")
    name = page.get_by_role("textbox", name="name")
    expect(name).to_be_focused()
    page.keyboard.type("Zoë & <b>Bob</b>")
    page.keyboard.press("Enter")
    expect(field).to_have_value("Greet Zoë & <b>Bob</b>.")
    page.keyboard.press("Enter")
    ended(page)
    assert watch.complaints == []
    server.stop()
    page.goto(stack.url)
    field.focus()
    page.keyboard.type("/greet")
    expect(options.first).to_be_visible()
    page.keyboard.press("Enter")
    expect(name).to_be_focused()
    page.keyboard.type("Zoë")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text(re.compile("Greeter (cannot be reached|was lost)"))
    expect(field).to_have_value("/greet")
