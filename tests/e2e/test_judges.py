"""Judges of moderation in a real browser: a question refused before and beside the model, an answer stopped behind its
stream, and what a person sees while a judge is away.

The judges answer as OpenAI's moderation API and as Llama Guard do.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Watch, answers, ended, send, shoot_views
from tests.fakes.asr_recognisers import run_in_thread
from tests.fakes.judge_server import JudgeServer
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)

LONG = 20.0  # seconds that judges may take: a busy machine is no judge that is away
CREATE = """
import json
from workers.models import Endpoint, Judge, JudgedCategory
for name, url, kind, mode, directions, category, away in json.loads({judges!r}):
    endpoint = Endpoint.objects.create(name=name, base_url=url, use="standby")
    judge = Judge.objects.create(
        name=name, endpoint=endpoint, model="m", backend=kind, mode=mode, directions=directions, enabled=True,
        timeout={long}, behind_timeout={long}, notice=name + " says no.",
    )
    JudgedCategory.objects.create(judge=judge, category=category, threshold=0.5, action="block", when_away=away)
"""


class Servers(NamedTuple):
    """One of each kind."""

    before: JudgeServer  # OpenAI's moderation API
    beside: JudgeServer  # a chat model like Llama Guard
    behind: JudgeServer  # the same, for answers


@pytest.fixture(scope="module")
def servers(stack: Stack) -> Iterator[Servers]:
    with ExitStack() as opened:
        made: Any = [
            opened.enter_context(run_in_thread(make))
            for make in (JudgeServer, lambda: JudgeServer(guard=True), lambda: JudgeServer(guard=True))
        ]
        judges = [
            ("Before", made[0].url, "openai", "before", ["asked"], "violence", "closed"),
            ("Beside", made[1].url, "guard", "parallel", ["asked"], "hate", "open"),
            ("Behind", made[2].url, "guard", "before", ["answered"], "sexual", "open"),
        ]
        stack.manage("shell", "--no-imports", "-c", CREATE.format(judges=json.dumps(judges), long=LONG))
        yield Servers(*made)
        for table in ("workers_judgedcategory", "workers_judge", "workers_endpoint", "chat_moderationcase"):
            stack.sql(f"DELETE FROM {table}")  # noqa: S608 -- constants
        for worker in stack.workers:  # other files' messages are not to wait for a judge that is gone
            worker.await_output('"judges": []', 60)


@pytest.fixture(autouse=True)
def judges(servers: Servers) -> Servers:
    """Each finds a word of its own, and behaves."""
    for server, category, word in zip(
        servers, ("violence", "hate", "sexual"), ("walrus", "penguin", "badger"), strict=True
    ):
        server.says(category, 0.9, about=word)
        server.misbehaves(None)
        server.delay = 0.0
    return servers


@pytest.fixture
def judged(page: Page, judges: Servers) -> Page:
    """Once the worker asks all three."""
    until = time.monotonic() + 90
    count = 0
    while time.monotonic() < until:
        for server in judges:
            server.texts.clear()
        count += 1
        send(page, 'Probe [[text="An answer. With two sentences."]]')
        ended(page, count)
        page.wait_for_timeout(500)
        if all(server.texts for server in judges):
            page.goto(page.url.partition("/c/")[0])
            return page
    raise AssertionError("the judges are not in force")


def asked_about(upstream: FakeOpenAI, word: str) -> int:
    """How often the model was asked with this word: the server also gets lists of models, and other tests' titles."""
    return sum(word in repr(chat.body) for chat in upstream.chats)


def note(page: Page) -> Any:
    return answers(page).last.locator(".message-note")


def test_a_question_is_refused_before_the_model_is_asked(
    judged: Page, judges: Servers, upstream: FakeOpenAI, stack: Stack
) -> None:
    watch = Watch(judged, stack.url)
    send(judged, "Tell me about the walrus")
    for live in (True, False):
        expect(judged.locator(".message-user .moderated")).to_contain_text("Before says no.")
        expect(answers(judged).last).to_have_attribute("data-status", "stopped")
        # Neither heading nor list of an open page keeps the title that was made of it.
        expect(judged.locator("body")).not_to_contain_text("walrus")
        expect(judged.locator("#title")).to_have_text("Conversation")
        expect(judged).to_have_title(re.compile(r"^(\(\d+\) )?Conversation · Antiphon$"))
        if live:
            shoot_views(judged, "judge-before")
            judged.reload()
    assert asked_about(upstream, "walrus") == 0
    judged.goto(f"{stack.url}/cases/")
    expect(judged.locator("main")).to_contain_text("Before says no.")
    shoot_views(judged, "judge-cases")
    assert watch.complaints == []


def test_a_question_is_refused_while_the_model_answers(judged: Page, judges: Servers, upstream: FakeOpenAI) -> None:
    """The model is asked at once; no word of its answer is shown before the verdict."""
    judges.beside.delay = 1.0
    send(judged, 'About the penguin [[text="A secret answer, in many words." rate=20]]')
    expect(judged.locator(".message-user .moderated")).to_contain_text("Beside says no.", timeout=60_000)
    expect(answers(judged).last).to_have_attribute("data-status", "stopped")
    assert asked_about(upstream, "penguin") == 1
    shoot_views(judged, "judge-beside")
    for word in ("penguin", "secret"):
        expect(judged.locator("body")).not_to_contain_text(word)


def test_an_answer_is_stopped_behind_its_stream(judged: Page, browser: Browser, login: Any) -> None:
    """What came before the sentence stays, also for who comes later."""
    send(
        judged, 'Tell me [[text="A harmless sentence. Then the badger is described. And more of it. And more." rate=4]]'
    )
    expect(note(judged).locator("p")).to_contain_text("Behind says no.", timeout=60_000)
    expect(answers(judged).last.locator(".message-body")).to_have_text("A harmless sentence.")
    expect(note(judged).get_by_role("link", name="Appeal")).to_be_visible()
    shoot_views(judged, "judge-behind")
    context = browser.new_context(storage_state=login)
    other = context.new_page()
    other.goto(judged.url)
    expect(answers(other).last.locator(".message-body")).to_have_text("A harmless sentence.")
    context.close()


def test_while_a_judge_is_away_that_must_be_asked_nothing_is_answered(judged: Page, judges: Servers) -> None:
    judges.before.misbehaves("error")
    send(judged, "Which trains go to Rome?")
    expect(answers(judged).last).to_have_attribute("data-status", "failed", timeout=60_000)
    expect(note(judged).locator("p")).to_contain_text("could not be checked just now")
    expect(judged.locator(".message-user .message-body")).to_contain_text("Which trains")
    shoot_views(judged, "judge-away-closed")
    judges.before.misbehaves(None)
    deadline = time.monotonic() + 90
    while answers(judged).last.get_attribute("data-status") != "complete":  # its circuit breaker lets it be asked again
        assert time.monotonic() < deadline
        retry = note(judged).get_by_role("button", name="Try again")
        if retry.is_visible():
            retry.click()
        judged.wait_for_timeout(1000)


def test_while_other_judges_are_away_answers_come_and_are_judged_later(
    judged: Page, judges: Servers, stack: Stack
) -> None:
    judges.behind.misbehaves("error")
    send(judged, 'Tell me [[text="All about the badger."]]')
    expect(ended(judged).locator(".message-body")).to_have_text("All about the badger.")
    judges.behind.misbehaves(None)
    # The judge is back: what it should have read is judged now, and taken back where it is open.
    deadline = time.monotonic() + 120
    while not stack.sql("SELECT 1 FROM chat_moderationcase WHERE original LIKE 'All about%%'"):
        assert time.monotonic() < deadline, "it was not judged"
        stack.manage("moderation", "judge-again")
        judged.wait_for_timeout(1000)
    expect(answers(judged).last.locator(".message-body")).to_be_empty()
    for live in (True, False):
        expect(note(judged).locator("p")).to_have_text("Behind says no.")
        expect(note(judged).get_by_role("link", name="Appeal")).to_be_visible()
        if live:
            shoot_views(judged, "judge-later")
            judged.reload()
