"""The web with sources, as a person sees it: the switch, what was searched for, citations, their card, the list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e.browsing import Watch, answers, ended, known_model, send, shoot_views
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

RESULTS = [
    {"title": "Night trains to Rome – timetable and prices", "url": "https://www.trains.example/night/rome",
     "content": "The night train leaves Munich Hauptbahnhof at 20:09 and arrives at Roma Termini at 09:22."},
    {"title": "Sleeping cars <b>compared</b>", "url": "https://blog.example/sleeping-cars?a=1&b=2",
     "content": "Compartments for one, two or three people, each with a basin. Breakfast is part of the price."},
]  # fmt: skip
ANSWER = (
    "The night train leaves Munich at **20:09** and is in Rome at 09:22 [1]. Compartments have one to three beds, and"
    " breakfast is included [1, 2]. Nothing is known about bicycles [7].\n\n```\nseat[1]\n```\n"
)


class Searcher(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = json.dumps({"results": RESULTS}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def search(stack: Stack) -> Iterator[None]:
    """A search provider that is set up, and asked by the stack's worker."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Searcher) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        lines = (
            "from workers.models import SearchProvider",
            "from workers.tools.publishing import publish_own_tools",
            f"SearchProvider.objects.create(name='Ours', price='0.005', address='http://127.0.0.1:{server.server_port}')",
            "publish_own_tools()",
        )
        stack.manage("shell", "--no-imports", "--command", "\n".join(lines))
        yield
        stack.sql("DELETE FROM workers_searchprovider")
        stack.sql("UPDATE chat_knowntool SET gone_at = now() WHERE name = 'search_web'")
        server.shutdown()


def test_the_web_with_sources(
    page: Page, browser: Browser, login: StorageState, stack: Stack, upstream: FakeOpenAI, search: None
) -> None:
    watch = Watch(page, stack.url)
    watch = Watch(page, stack.url)
    switch = page.get_by_role("button", name="Search the web")
    for _ in range(30):  # pages know of a provider after some seconds
        page.reload()
        if switch.is_visible():
            break
        page.wait_for_timeout(1000)
    expect(switch).to_have_attribute("aria-pressed", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "true")
    shoot_views(page, "web-search-switch")
    upstream.play(Script(calls=[("search_web", {"query": "night train Munich Rome"})]))
    upstream.play(Script(text=ANSWER))
    send(page, "When does the night train to Rome leave?")
    answer = ended(page)
    expect(answer.locator(".citation")).to_have_count(3)
    expect(answer.locator(".message-body pre")).to_contain_text("seat[1]")
    expect(answer).to_contain_text("bicycles [7]")
    expect(answer.locator(".sources li")).to_have_count(2)
    expect(switch).to_have_attribute("aria-pressed", "true")  # the conversation began with it
    shoot_views(page, "web-search-sources")

    answer.locator(".citation").first.click()
    card = page.locator("#source-card")
    expect(card).to_be_visible()
    expect(card).to_contain_text("trains.example")
    expect(card).to_contain_text("arrives at Roma Termini")
    link = card.get_by_role("link")
    expect(link).to_be_focused()
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    shoot_views(page, "web-search-card")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(answer.locator(".citation").first).to_be_focused()

    with page.expect_response(lambda response: response.url.endswith("/web-search/")):
        switch.click()
    page.reload()
    expect(switch).to_have_attribute("aria-pressed", "false")
    expect(answers(page).last.locator(".citation")).to_have_count(3)
    expect(answers(page).last.locator(".sources li").nth(1)).to_contain_text("Sleeping cars compared")

    assert watch.complaints == []
    assert watch.foreign == []

    without = browser.new_context(storage_state=login, java_script_enabled=False)
    plain = without.new_page()
    plain.goto(page.url)
    plain.locator(".citation").first.click()
    expect(plain.locator(".sources li:target")).to_contain_text("Night trains to Rome")
    without.close()
    assert any("night+train" in path and "format=json" in path for path in Searcher.asked)

    [cost] = stack.sql("SELECT cost FROM accounts_usageentry WHERE purpose = 'tool'")
    assert float(cost["cost"]) == 0.005, "the price of a search"
    conversation = page.url.rstrip("/").rpartition("/")[2]
    exported = page.request.get(f"{stack.url}/c/{conversation}/export/?as=markdown").text()
    assert "<https://www.trains.example/night/rome>" in exported
    assert "Night trains to Rome" in exported


def test_a_model_that_calls_no_tools_says_that_it_cannot_search(page: Page, stack: Stack, search: None) -> None:
    switch = page.get_by_role("button", name="Search the web")
    with known_model(page, stack, "small", tools=False):
        for _ in range(30):  # pages know of a provider after some seconds
            page.reload()
            if switch.is_visible():
                break
            page.wait_for_timeout(1000)
        page.wait_for_function("() => document.querySelector('#model').dataset.value === 'small'")
        switch.click()
        said = "small does not call tools, so it cannot search the web. Choose another model."
        expect(page.locator("#toasts")).to_have_text(said)
        expect(switch).to_have_attribute("title", said)
        shoot_views(page, "web-search-no-tools")
        switch.click()
        expect(switch).not_to_have_attribute("title", said)


def test_a_page_whose_address_is_in_a_message(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    """It may be read while the switch is off; without an address nothing may."""
    for text, offered in (("What does https://example.org/news say?", True), ("What is new?", False)):
        for _ in range(10):  # what staff have said of a model in another test holds for some seconds
            page.goto(stack.url)
            before = len(upstream.chats)
            upstream.play(Script(text="Read."))
            send(page, text)
            ended(page)
            if body := next((one.body for one in upstream.chats[before:] if one.body.get("tools")), None):
                break
            page.wait_for_timeout(1000)
        assert body is not None, "the model got no tools"
        assert ("read_page" in [tool["function"]["name"] for tool in body["tools"]]) == offered
        assert "search_web" not in [tool["function"]["name"] for tool in body["tools"]]
