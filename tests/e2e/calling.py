"""What tests of calls share: a stack that speaks, and pages whose microphone hears what a test speaks into it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Playwright

from tests.e2e.browsing import chromium, log_in
from tests.e2e.voice_scripts import MICROPHONE
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import recogniser_of_any_audio, run_in_thread
from tests.fakes.asr_speech import as_wav, utterance
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech
from tests.stack import Stack, run_stack

KEY = "sk-of-the-speech-server"
FIRST, SECOND = SENTENCES


@pytest.fixture(scope="module")
def speech() -> Iterator[FakeSpeech]:
    with run_in_thread(lambda: FakeSpeech.run(KEY)) as server:
        server.ms_per_character = 400  # an answer of the scripted model takes most of a minute
        yield server


@contextmanager
def stack_of_calls(
    upstream: FakeOpenAI, speech: FakeSpeech, folders: pytest.TempPathFactory, **settings: str
) -> Iterator[Stack]:
    env = {
        "OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test", "CHAT_MODELS": "small",
        "RECORDINGS_PER_USER": "9", "RECORDINGS_AT_ONCE": "9", "ASR_SPEAKERS": "9",
        "SPEECH_BACKENDS": "openai", "SPEECH_URL": speech.url, "SPEECH_API_KEY": KEY,
    }  # fmt: skip
    with (
        recogniser_of_any_audio(folders.mktemp("grammar")) as asr,
        run_stack(web=1, workers=1, env=env | asr.env | settings) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def calling(upstream: FakeOpenAI, speech: FakeSpeech, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_of_calls(upstream, speech, tmp_path_factory) as running:
        yield running


@pytest.fixture
def loud(playwright: Playwright) -> Iterator[Browser]:
    """Chromium that lets pages sound without a click."""
    with chromium(playwright, "--autoplay-policy=no-user-gesture-required") as browser:
        yield browser


def open_page(browser: Browser, stack: Stack, name: str = "alice") -> Page:
    """A page of somebody's, with a microphone to speak into, and a voice of the server."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(40_000)
    spoken = {text: base64.b64encode(as_wav(utterance(text, before=0))).decode() for text in SENTENCES}
    context.add_init_script(f"window.spoken = {spoken!r};" + MICROPHONE)
    context.add_init_script("localStorage.setItem('antiphon.voice.server', 'nova')")
    return log_in(context, stack, name)


@pytest.fixture
def page(loud: Browser, calling: Stack) -> Page:
    return open_page(loud, calling)


def call(page: Page, state: str, *, seconds: float = 60) -> None:
    """Waits until the call is in a state."""
    page.locator(f"#call-sheet[data-state={state}]").wait_for(timeout=seconds * 1000)
