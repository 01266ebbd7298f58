"""A call, hands free: what is said into the microphone is answered aloud by a voice of the server.

The microphone is a stream that the test speaks into when the page is in the state for it, so nothing depends on time.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Playwright, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, chromium, log_in, send, shoot_views
from tests.e2e.voice_scripts import MICROPHONE
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import recogniser_of_any_audio, run_in_thread
from tests.fakes.asr_speech import as_wav, utterance
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech
from tests.stack import Stack, run_stack

pytestmark = pytest.mark.timeout(180)
KEY = "sk-of-the-speech-server"
FIRST, SECOND = SENTENCES


@pytest.fixture(scope="module")
def speech() -> Iterator[FakeSpeech]:
    with run_in_thread(lambda: FakeSpeech.run(KEY)) as server:
        server.ms_per_character = 400  # an answer of the scripted model takes most of a minute
        yield server


@pytest.fixture(scope="module")
def calling(upstream: FakeOpenAI, speech: FakeSpeech, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {
        "OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test", "CHAT_MODELS": "small",
        "RECORDINGS_PER_USER": "9", "RECORDINGS_AT_ONCE": "9", "ASR_SPEAKERS": "9",
        "SPEECH_BACKENDS": "openai", "SPEECH_URL": speech.url, "SPEECH_API_KEY": KEY,
    }  # fmt: skip
    with (
        recogniser_of_any_audio(tmp_path_factory.mktemp("grammar")) as asr,
        run_stack(web=1, workers=1, env=env | asr.env) as running,
    ):
        yield running


@pytest.fixture
def page(playwright: Playwright, calling: Stack) -> Iterator[Page]:
    with chromium(playwright, "--autoplay-policy=no-user-gesture-required") as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(40_000)
        spoken = {text: base64.b64encode(as_wav(utterance(text, before=0))).decode() for text in SENTENCES}
        context.add_init_script(f"window.spoken = {spoken!r};" + MICROPHONE)
        context.add_init_script("localStorage.setItem('antiphon.voice.server', 'nova')")
        yield log_in(context, calling)


def call(page: Page, state: str, *, seconds: float = 60) -> None:
    """Waits until the call is in a state."""
    page.locator(f"#call-sheet[data-state={state}]").wait_for(timeout=seconds * 1000)


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
    assert violations(page, "#call-sheet") == []
    shoot_views(page, "call-ended")
    page.get_by_role("button", name="End call").click()
    expect(page.locator("#call-sheet")).to_have_count(0)


def test_leaving_the_page_frees_the_microphone_at_once(page: Page) -> None:
    page.get_by_role("button", name="Start a call").click()
    call(page, "listening")
    left = "() => { dispatchEvent(new Event('pagehide')); return tracks.map((track) => track.readyState); }"
    assert page.evaluate(left) == ["ended"], "before anything that waits"
    expect(page.locator("#call-sheet")).to_have_count(0)
