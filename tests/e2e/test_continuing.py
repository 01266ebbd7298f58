"""A cut answer and a long wait in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.browsing import STREAMING, Watch, answers, ended, send, shoot_views
from tests.e2e.wire import connected
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)

FIRST = "The quick brown fox jumps over the lazy"
SECOND = "the lazy dog, and then it sleeps."
WHOLE = "The quick brown fox jumps over the lazy dog, and then it sleeps."


def test_a_cut_answer_is_continued_in_place(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    upstream.play(Script(text=FIRST, finish="length"))
    send(page, "Tell me of the fox")
    answer = ended(page)
    expect(answer.locator(".message-note p")).to_have_text("Reached the length limit.")
    expect(answer.get_by_role("button", name="Try again")).to_be_visible()
    shoot_views(page, "cut")
    page.reload()  # the button is in the server's page, too
    answer = ended(page)
    upstream.play(Script(text=SECOND, rate=4))
    button = answer.get_by_role("button", name="Continue")
    button.focus()
    page.keyboard.press("Enter")
    page.locator(STREAMING).wait_for()
    expect(answers(page).locator(".message-body")).to_contain_text("lazy dog")
    page.reload()  # in the middle of it
    answer = ended(page)
    expect(answer.locator(".message-body")).to_have_text(WHOLE)
    expect(answer.get_by_role("button", name="Continue")).to_be_hidden()
    expect(answer).to_have_attribute("data-status", "complete")
    shoot_views(page, "continued")
    live = answer.locator(".message-meta").inner_text()
    page.reload()
    answer = ended(page)
    expect(answer.locator(".message-body")).to_have_text(WHOLE)
    expect(answer.locator(".message-meta")).to_have_text(live)
    expect(page.locator(".message-user")).to_have_count(1)
    assert watch.complaints == []


def test_a_long_wait_shows_its_seconds_and_can_be_stopped(page: Page) -> None:
    send(page, "Think long [[tokens=2 first_delay=60]]")
    answer = page.locator(".message-assistant.is-counted[data-status=pending]")
    answer.wait_for(timeout=30_000)
    expect(answer.locator(".waiting-words")).to_contain_text("Waiting for the model’s first words… ")
    expect(answer.locator(".waiting-words")).to_have_text(re.compile(r"first words… \d\d s$"), timeout=30_000)
    expect(page.locator("#announcer")).to_contain_text(re.compile(r"first words… \d\d seconds"), timeout=30_000)
    shoot_views(page, "waiting")
    page.reload()  # goes on counting from where it was
    seconds = page.locator(".is-counted .waiting-words")
    seconds.wait_for(timeout=30_000)
    assert int(seconds.inner_text().split()[-2]) >= 10
    page.locator(".waiting").get_by_role("button", name="Stop").click()
    answer = ended(page)
    expect(answer).to_have_attribute("data-status", "stopped")
    expect(answer.get_by_role("button", name="Continue")).to_be_hidden()  # it has no text


def test_a_model_that_is_being_loaded_is_said_to_be(page: Page, upstream: FakeOpenAI) -> None:
    upstream.play(Script(status=503, said="Loading model"), times=1000)
    send(page, "Load the model")
    words = page.locator(".message-assistant.is-counted[data-status=pending] .waiting-words")
    expect(words).to_have_text(re.compile(r"^The model is being loaded… \d+ s$"), timeout=30_000)
    shoot_views(page, "loading")
    page.reload()  # it is said again now and then
    expect(words).to_have_text(re.compile(r"^The model is being loaded… \d+ s$"), timeout=40_000)
    page.locator(".waiting").get_by_role("button", name="Stop").click()
    expect(ended(page)).to_have_attribute("data-status", "stopped")
    upstream.reset()


def test_without_a_connection_nothing_is_said_of_the_model(page: Page, context: BrowserContext) -> None:
    send(page, "Stay silent [[tokens=2 first_delay=60]]")
    counted = page.locator(".message-assistant.is-counted")
    counted.wait_for(timeout=30_000)
    context.set_offline(True)
    expect(page.locator("#connection")).to_have_attribute("data-state", "offline", timeout=20_000)
    expect(counted).to_have_count(0)
    context.set_offline(False)
    connected(page)
    counted.wait_for(timeout=30_000)
    send(page, "It waits for the answer")
    page.locator(".waiting").get_by_role("button", name="Stop").click()
    waiting = page.locator("#queue .queued")
    expect(waiting).to_have_class([re.compile("is-held")])
    # What waits for the connection only is no trouble.
    context.set_offline(True)
    expect(page.locator("#connection")).to_have_attribute("data-state", "offline", timeout=20_000)
    send(page, "It waits for the connection")
    expect(waiting.last.locator(".queued-note")).to_contain_text("Waiting for a connection")
    expect(waiting.last).not_to_have_class(re.compile("is-held"))
    context.set_offline(False)
