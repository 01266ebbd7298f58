"""What one hears in a call beside the answer's words: of tools, decisions, refusals, others, a lost connection."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import ended, reopen, send, shoot_views
from tests.e2e.calling import FIRST, SECOND, call, open_page
from tests.e2e.calling import calling as calling  # a fixture
from tests.e2e.calling import loud as loud  # a fixture
from tests.e2e.calling import page as page  # a fixture
from tests.e2e.calling import speech as speech  # a fixture
from tests.e2e.test_steps import MAIL, SEARCH, Steps
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)
LOOKING, DECIDE = "I’m looking that up.", "This needs your decision. End the call to see it."
TYPING = """
window.typing = [];
addEventListener("DOMContentLoaded", () => {
    const line = document.querySelector("#typing");
    new MutationObserver(() => window.typing.push(line.textContent)).observe(line, {childList: true, subtree: true});
});
"""


# Each note, and whether it lies above all else when it comes.
SEEN = """() => {
    window.seenNotes = [];
    new MutationObserver((changes) => {
        for (const note of changes.flatMap((change) => [...change.addedNodes]).filter((one) => one.isConnected)) {
            const { left, top, width, height } = note.getBoundingClientRect();
            const above = document.elementFromPoint(left + width / 2, top + height / 2);
            window.seenNotes.push({ text: note.textContent, on_top: note.contains(above) });
        }
    }).observe(document.getElementById("toasts"), { childList: true });
}"""


@pytest.fixture(autouse=True)
def quick(speech: FakeSpeech) -> Iterator[None]:
    speech.ms_per_character = 20
    yield
    speech.ms_per_character = 400


def ask(page: Page, text: str = FIRST) -> None:
    """Says a sentence in a call, whose answer begins."""
    before = page.locator(".message-assistant").count()
    page.evaluate("text => speakInto(text)", text)
    expect(page.locator(".message-assistant")).to_have_count(before + 1, timeout=60_000)


def said(page: Page, speech: FakeSpeech, text: str) -> None:
    """Waits until the server's voice was asked for a text."""
    for _ in range(200):
        if text in speech.texts:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{text!r} is not among {speech.texts}")


def test_tools_and_decisions_are_spoken_of(
    page: Page, calling: Stack, speech: FakeSpeech, upstream: FakeOpenAI
) -> None:
    upstream.play(Script(tokens=1, hang=60))
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    ask(page)
    expect(page.locator(".message-assistant .message-body")).not_to_be_empty()
    steps = Steps(calling)
    steps.do(("begin", (SEARCH,), {}))
    said(page, speech, LOOKING)
    call(page, "thinking")  # once that is said
    steps.do(("end", ("search_web",), {"output": "found"}), ("begin", (MAIL,), {"waiting": True}))
    expect(page.locator(".call-trouble")).to_have_text(DECIDE)
    said(page, speech, DECIDE)
    assert violations(page, "#call-sheet") == []
    shoot_views(page, "call-decision")
    assert speech.texts.count(LOOKING) == 1
    page.get_by_role("button", name="End call").click()
    expect(page.locator("#call-sheet")).to_have_count(0)
    expect(page.locator(".approval")).to_be_visible()


def test_a_tool_that_is_quick_is_not_spoken_of(bare_page: Page) -> None:
    """By stand-ins, since a real tool is quick at no known time."""
    timers = """async () => {
        const { CallEvents } = await import("antiphon/voice/call-events");
        const spoken = [];
        const view = { runId: "r", id: "m", text: "" };
        const playback = { asked: "r", reading: null, begin: () => { playback.reading = { view, waiting: new Set() }; },
            say: (_, sentence) => spoken.push(sentence.text) };
        const conversation = { page: { conversation_id: "c", user: { id: "me" } }, listeners: [],
            transcript: { find: () => view } };
        const call = { playback, voice: { conversation, finals: [] }, trouble: () => {}, showOther: () => {} };
        new CallEvents(call);
        const common = { conversation_id: "c", run_id: "r", message_id: "m" };
        const tell = (frame) => conversation.listeners[0]({ ...common, ...frame });
        const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        tell({ type: "tool.call", call_id: "1", effect: "reads" });
        tell({ type: "tool.result", call_id: "1" });
        await wait(900);
        const quick = [...spoken];
        tell({ type: "tool.call", call_id: "2", effect: "writes" });
        await wait(900);
        tell({ type: "tool.call", call_id: "3", effect: "reads" });
        await wait(900);
        return [quick, spoken];
    }"""
    assert bare_page.evaluate(timers) == [[], ["I’m working on that."]]


def test_a_message_that_is_refused_says_why(page: Page, calling: Stack) -> None:
    rule = (
        "from chat.models import ModerationRule; ModerationRule.objects.create(name='block', enabled=True,"
        " action='block', patterns='doctor', directions=['asked'], notice='No doctors here.')"
    )
    calling.manage("shell", "--no-imports", "-c", rule)
    try:
        for _ in range(60):  # each process reads its rules every few seconds
            send(page, "Is there a doctor?")
            expect(page.locator("#refused:not([hidden]), .message-assistant").first).to_be_visible()
            if page.locator("#refused").is_visible():
                break
            ended(page, page.locator(".message-assistant").count())
            page.goto(calling.url)
        page.locator("#text").fill("")
        page.get_by_role("button", name="Start a call").click()
        call(page, "listening")
        page.evaluate("text => speakInto(text)", FIRST)
        call(page, "speaking")
        page.evaluate("text => speakInto(text)", SECOND)
        expect(page.locator(".call-trouble")).to_contain_text("No doctors here.", timeout=60_000)
        call(page, "listening")
        shoot_views(page, "call-refused")
    finally:
        calling.sql("TRUNCATE chat_moderationcase, chat_moderationrule CASCADE")


def test_an_answer_that_fails_says_so(page: Page, upstream: FakeOpenAI) -> None:
    upstream.play(Script(status=400, said="no"))
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    ask(page)
    expect(page.locator(".call-trouble")).not_to_be_empty()
    call(page, "listening")


def test_what_is_noted_meanwhile_is_seen_in_the_call(page: Page, speech: FakeSpeech, upstream: FakeOpenAI) -> None:
    """As that the voice fails: over the whole screen of a phone nothing of the page below is seen."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    upstream.play(Script(text="Nobody has heard this sentence before."))  # one that is kept needs no voice
    speech.status = 500
    try:
        page.evaluate(SEEN)
        page.evaluate("text => speakInto(text)", FIRST)
        page.wait_for_function("() => window.seenNotes.some((note) => note.text.includes('read aloud'))")
    finally:
        speech.status = 200
    shoot_views(page, "call-note")
    assert all(note["on_top"] for note in page.evaluate("seenNotes"))
    page.get_by_role("button", name="End call").click()
    expect(page.locator("body > #toasts")).to_have_count(1)


def test_two_people_speak_in_two_browsers(
    page: Page, loud: Browser, calling: Stack, speech: FakeSpeech, upstream: FakeOpenAI
) -> None:
    """Each microphone is an author. One is in a call: she hears who speaks, what he said, and the answer to it."""
    send(page, "Hello [[tokens=2]]")
    ended(page)
    script = (
        "from accounts.models import User; from chat.models import Conversation, Member; "
        "Member.objects.create(conversation=Conversation.objects.latest('created_at'), role='editor', "
        "user=User.objects.get(email='bob@example.org'))"
    )
    calling.manage("shell", "--no-imports", "-c", script)
    bob = open_page(loud, calling, "bob")
    bob.context.add_init_script(TYPING)
    bob.evaluate("localStorage.setItem('antiphon.voice.send', 'on')")
    bob.goto(page.url)
    page.context.add_init_script(TYPING)
    page.reload()
    expect(page.locator("#here .avatar")).to_have_text(["B"])
    bob.get_by_role("button", name="Record voice").click()
    expect(bob.locator("#voice-state")).to_have_text("Listening…")
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    page.evaluate("text => speakInto(text)", FIRST)
    for one in (page, bob):
        expect(one.locator(".message-user").nth(1)).to_contain_text(FIRST, timeout=60_000)
    expect(bob.locator(".message-author").nth(1)).to_have_text("Alice")
    bob.wait_for_function("() => window.typing.includes('Alice is speaking…')")
    ended(bob, 2)
    call(page, "listening")
    upstream.play(Script(text="This is for Bob."))
    bob.evaluate("text => speakInto(text)", FIRST)
    expect(bob.locator(".message-user")).to_have_count(3, timeout=60_000)
    expect(page.locator(".call-other")).to_have_text(re.compile("Bob: .+"))
    expect(page.locator(".message-author").nth(2)).to_have_text("Bob")
    page.wait_for_function("() => window.typing.includes('Bob is speaking…')")
    ended(bob, 3)
    said(page, speech, "This is for Bob.")  # to Alice: Bob has reading aloud off
    shoot_views(page, "call-two-people")
    rows = calling.sql(
        "SELECT u.name, m.text FROM chat_message m JOIN accounts_user u ON u.id = m.author_id"
        " WHERE m.role = 'user' ORDER BY m.created_at DESC LIMIT 2"
    )
    assert [row["name"] for row in rows] == ["Bob", "Alice"]


def test_a_lost_connection_does_not_end_a_call(page: Page) -> None:
    relays: list[WebSocketRoute] = []

    def relay(route: WebSocketRoute) -> None:
        route.connect_to_server()
        relays.append(route)

    reopen(page, relay)
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    first = page.locator("#voice").get_attribute("data-recording")
    relays[-1].close(code=1012)
    page.wait_for_function("first => document.getElementById('voice').dataset.recording !== first", arg=first)
    call(page, "listening")
    page.evaluate("text => speakInto(text)", FIRST)
    expect(page.locator(".message-user .message-body")).to_have_text(FIRST, timeout=60_000)
