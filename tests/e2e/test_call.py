"""A call, hands free: what is said into the microphone is answered aloud by a voice of the server.

The microphone is a stream that the test speaks into when the page is in the state for it, so nothing depends on time.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import NOTES_SHOWN, Watch, send, shoot_views
from tests.e2e.calling import FIRST, SECOND, call
from tests.e2e.calling import calling as calling  # a fixture
from tests.e2e.calling import loud as loud  # a fixture
from tests.e2e.calling import page as page  # a fixture
from tests.e2e.calling import speech as speech  # a fixture
from tests.fakes.speech_server import FakeSpeech
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)


def test_a_call_with_a_barge_in(page: Page, calling: Stack, speech: FakeSpeech) -> None:
    watch = Watch(page, calling.url)
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    assert violations(page, "#call-sheet") == []
    shoot_views(page, "call-listening")
    page.evaluate("text => speakInto(text)", FIRST)
    call(page, "speaking")
    expect(page.locator(".message-user .message-body")).to_have_text(FIRST)
    expect(page.locator(".call-theirs")).to_contain_text("tok0")
    assert speech.requests[-1].body["voice"] == "nova"
    assert violations(page, "#call-sheet") == []
    shoot_views(page, "call-speaking")
    page.evaluate("text => speakInto(text)", SECOND)
    expect(page.locator(".message-user .message-body").nth(1)).to_have_text(SECOND, timeout=60_000)
    call(page, "speaking")
    rows = calling.sql(
        "SELECT text, status FROM chat_message WHERE role = 'assistant' ORDER BY created_at DESC LIMIT 2"
    )
    assert len(rows[1]["text"]) < len(rows[0]["text"]), "the part that was heard"
    page.get_by_role("button", name="Mute").click()
    expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#call-sheet")).to_have_count(0)
    page.wait_for_function("() => tracks.every((track) => track.readyState === 'ended')")
    expect(page.get_by_role("button", name="Read answers aloud")).to_have_attribute("aria-pressed", "false")
    assert watch.complaints == []
    assert watch.foreign == []


def test_an_answer_is_read_by_the_server_s_voice(page: Page, calling: Stack, speech: FakeSpeech) -> None:
    speech.ms_per_character = 20
    page.get_by_role("button", name="Read answers aloud").click()
    send(page, 'Speak [[text="First things first. Then **more** of it."]]')
    expect(page.locator("#reading")).to_be_visible()
    expect(page.locator("#reading")).to_be_hidden(timeout=40_000)
    assert {"First things first.", "Then more of it."} <= set(speech.texts)
    speech.ms_per_character = 400


def test_a_microphone_that_is_refused_ends_the_call(page: Page) -> None:
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')); }"
    )
    page.get_by_role("button", name="Start a call").click()
    call(page, "ended")
    expect(page.locator(".call-trouble")).to_contain_text("blocks the microphone")
    expect(page.locator(".call-theirs")).to_be_empty()
    assert violations(page, "#call-sheet") == []
    shoot_views(page, "call-ended")
    page.locator("#call-sheet").get_by_role("button", name="Close").click()
    expect(page.locator("#call-sheet")).to_have_count(0)


def test_leaving_the_page_frees_the_microphone_at_once(page: Page) -> None:
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    left = "() => { dispatchEvent(new Event('pagehide')); return tracks.map((track) => track.readyState); }"
    assert page.evaluate(left) == ["ended"], "before anything that waits"
    expect(page.locator("#call-sheet")).to_have_count(0)


def test_without_any_voice_the_way_on_is_said(page: Page) -> None:
    page.evaluate("delete document.getElementById('aloud').dataset.served")  # and a headless browser has none
    page.evaluate(NOTES_SHOWN)
    page.get_by_role("button", name="Start a call").click()
    page.wait_for_function("() => notesShown.length > 0")
    [note] = page.evaluate("notesShown")
    assert "no voice for reading aloud. Install one" in note
    assert "Let the server read" not in note
    expect(page.locator("#call-sheet")).to_have_count(0)
    page.evaluate("document.getElementById('call').dataset.help = '/admin/help/'")  # as of staff
    page.get_by_role("button", name="Start a call").click()
    page.wait_for_function("() => notesShown.some((note) => note.includes('Let the server read'))")
