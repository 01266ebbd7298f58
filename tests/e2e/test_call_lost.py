"""A call whose connection is lost while an answer is read, or somebody speaks: all is heard, and nothing twice."""

from __future__ import annotations

import array
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.e2e.browsing import reopen
from tests.e2e.calling import FIRST, SECOND, call, open_page, stack_of_calls
from tests.e2e.calling import loud as loud  # a fixture
from tests.e2e.calling import speech as speech  # a fixture
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech, spoken
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)
SENTENCES = ("This is the first sentence.", "Here is the second one, and it is longer.", "That was all of it.")
AUDIO = b"".join(spoken(sentence) for sentence in SENTENCES)
# What the page plays of the server's voice; the microphone's stand-in has another rate.
HEARD = """
window.heard = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...when) {
    const samples = this.buffer.sampleRate === 24000 ? this.buffer.getChannelData(0) : [];
    for (const sample of samples) window.heard.push(Math.round(sample * 32768));
    return start.apply(this, when);
};
"""


@pytest.fixture(scope="module")
def calling(upstream: FakeOpenAI, speech: FakeSpeech, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One recording at a time, as by default: a lost one must not stand in the way of the next."""
    with stack_of_calls(upstream, speech, tmp_path_factory, RECORDINGS_PER_USER="1") as running:
        yield running


class Relay:
    """The connections of a page. `holds`: no further one is made. `cuts_at`: with this message of the server's, which
    does not arrive.
    """

    def __init__(self) -> None:
        self.routes: list[WebSocketRoute] = []
        self.holds = False
        self.cuts_at = ""

    def __call__(self, route: WebSocketRoute) -> None:
        if self.holds:
            route.close(code=1012)
            return
        self.routes.append(route)
        server = route.connect_to_server()

        def from_server(data: str | bytes) -> None:
            if self.cuts_at and isinstance(data, str) and self.cuts_at in data:
                self.cuts_at = ""
                route.close(code=1012)
            else:
                route.send(data)

        server.on_message(from_server)

    def cut(self) -> None:
        self.routes[-1].close(code=1012)


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.fixture
def page(loud: Browser, calling: Stack, relay: Relay) -> Page:
    page = open_page(loud, calling)
    page.context.add_init_script(HEARD)
    reopen(page, relay)
    begin(page)
    return page


@pytest.fixture(autouse=True)
def paced(speech: FakeSpeech) -> Iterator[None]:
    """Audio comes at the pace at which it is played."""
    speech.ms_per_character, speech.delay = 40, 0.1
    yield
    speech.ms_per_character, speech.delay = 400, 0.0


def hear(page: Page, milliseconds: int) -> None:
    """Waits until so much of the answer is played."""
    page.wait_for_function("count => heard.length >= count", arg=milliseconds * 24, timeout=60_000)


def heard_all(page: Page) -> None:
    """Waits until the call listens again: then each sample was played, once and in its place."""
    hear(page, len(AUDIO) // 48)
    call(page, "listening")
    assert array.array("h", page.evaluate("heard")).tobytes() == AUDIO


def begin(page: Page) -> None:
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")


def finish(page: Page) -> None:
    page.get_by_role("button", name="End call").click()
    expect(page.locator("#call-sheet")).to_have_count(0)
    expect(page.locator("#voice")).to_be_hidden()  # once the last words are transcribed, another call can begin


def test_a_cut_in_the_middle_of_a_sentence(page: Page, relay: Relay, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text=" ".join(SENTENCES)))
    page.evaluate("text => speakInto(text)", FIRST)
    hear(page, len(spoken(SENTENCES[0])) // 48 + 500)
    relay.cut()
    heard_all(page)
    assert len(relay.routes) == 2
    finish(page)


def test_an_answer_that_ends_during_the_cut(page: Page, relay: Relay, calling: Stack, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text=" ".join(SENTENCES), rate=4))
    page.evaluate("text => speakInto(text)", FIRST)
    hear(page, 300)
    relay.holds = True
    relay.cut()
    done = "SELECT 1 FROM chat_message WHERE role = 'assistant' AND status = 'complete' AND right(text, 6) = 'of it.'"
    for _ in range(400):
        if calling.sql(done):
            break
        page.wait_for_timeout(100)
    relay.holds = False
    heard_all(page)
    finish(page)
    calling.sql("UPDATE chat_message SET text = 'told' WHERE right(text, 6) = 'of it.'")


def test_a_web_process_that_dies(page: Page, calling: Stack, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text=" ".join(SENTENCES), rate=8))
    page.evaluate("text => speakInto(text)", FIRST)
    hear(page, 500)
    calling.webs[0].kill(signal.SIGKILL)
    calling.webs[0].wait()
    calling.webs[0].start()
    heard_all(page)
    page.evaluate("text => speakInto(text)", SECOND)
    expect(page.locator(".message-user .message-body").nth(1)).to_have_text(SECOND, timeout=60_000)
    finish(page)


def test_the_last_words_before_a_cut_are_answered(page: Page, relay: Relay, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text=SENTENCES[0]))
    page.evaluate("text => speakInto(text)", FIRST)
    hear(page, len(spoken(SENTENCES[0])) // 48)
    call(page, "listening")
    finish(page)
    begin(page)  # in a conversation that is there: its log has what this connection does not get
    relay.cuts_at = '"transcript.final"'
    page.evaluate("text => speakInto(text)", SECOND)
    expect(page.locator(".message-user .message-body").nth(1)).to_have_text(SECOND, timeout=60_000)
    assert len(relay.routes) == 2
    expect(page.locator(".message-user")).to_have_count(2)
    finish(page)
