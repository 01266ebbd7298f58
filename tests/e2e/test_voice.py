"""Speaking in a real browser, whose microphone is a recording of espeak-ng: words form, then the answer comes."""

from __future__ import annotations

import array
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.browsing import ARGUMENTS, CHROMIUM, Watch, answers, ended, log_in, shoot
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_speech import RATE, as_wav, resample, silence, utterance
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.asr_cases import grammar
from tests.stack import Stack, run_stack

pytestmark = pytest.mark.timeout(120)
FIRST = SENTENCES[0]

# Everything the panel ever showed, in order: what is seen for a moment only is not missed by a busy machine.
WITNESS = """
window.seen = [];
addEventListener("DOMContentLoaded", () => {
    const watch = (selector, name) => {
        const element = document.querySelector(selector);
        const note = () => window.seen.push([name, element.value ?? element.textContent.trim()]);
        new MutationObserver(note).observe(element, {subtree: true, childList: true, characterData: true});
    };
    watch("#voice-state", "state");
    watch(".heard", "heard");
});
"""
HEARING = "() => window.seen.some(([name, text]) => name === 'state' && text === 'Hearing you…')"


@pytest.fixture(scope="module")
def hearing(upstream: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": "sk-test",
        "CHAT_MODELS": "small",
        "ASR_BACKENDS": "pocketsphinx",
        "POCKETSPHINX_GRAMMAR": grammar(tmp_path_factory.mktemp("grammar")),
    }
    with run_stack(web=1, workers=1, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence, then silence. Chromium plays it from the moment the microphone is opened; 48 kHz is what it takes."""
    spoken = array.array("h", utterance(FIRST, before=700))
    file = tmp_path_factory.mktemp("speech") / "speech.wav"
    file.write_bytes(as_wav(resample(spoken, RATE, 48_000).tobytes() + silence(3 * 8_000), 48_000))
    return file


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = CHROMIUM if Path(CHROMIUM).exists() else None
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()


@pytest.fixture
def page(hearing: Stack, speech: Path) -> Iterator[Page]:
    microphone = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={speech}%noloop",
        "--autoplay-policy=no-user-gesture-required",
    )
    with chromium(*microphone) as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(20_000)
        context.add_init_script("if (location.pathname === '/') {" + WITNESS + "}")
        yield log_in(context, hearing)


def test_words_form_and_can_be_edited_before_they_are_sent(page: Page, hearing: Stack) -> None:
    watch = Watch(page, hearing.url)
    page.get_by_role("button", name="Speak").click()
    page.wait_for_function("() => window.seen.some(([name, text]) => name === 'heard' && text)")
    shoot(page, "voice-forming")
    expect(page.locator("#text")).to_have_value(FIRST)
    shoot(page, "voice-final")
    seen = [(name, text) for name, text in page.evaluate("window.seen") if text]
    heard = [text for name, text in seen if name == "heard"]
    assert ("state", "Hearing you…") in seen[: seen.index(("heard", heard[0]))]
    assert all(set(text.split()) <= set(" ".join(SENTENCES).split()) for text in heard)
    page.get_by_role("button", name="Stop speaking").click()
    expect(page.locator("#voice")).to_be_hidden()
    page.locator("#text").press("End")
    page.locator("#text").type(" please")
    page.locator("#text").press("Enter")
    expect(page.locator(".message-user .message-body")).to_have_text(f"{FIRST} please")
    ended(page)
    assert watch.complaints == []
    assert watch.foreign == []


def test_spoken_and_answered_without_a_key(page: Page) -> None:
    page.evaluate("localStorage.setItem('antiphon.voice.send', 'on')")
    page.reload()
    page.get_by_role("button", name="Speak").click()
    expect(page.locator(".message-user .message-body")).to_have_text(FIRST)
    ended(page)
    assert "/c/" in page.url
    assert page.locator("#text").input_value() == ""
    page.get_by_role("button", name="Stop speaking").click()
    expect(page.locator("#voice")).to_be_hidden()
    page.reload()
    expect(answers(page)).to_have_count(1)


def test_escape_throws_it_away(page: Page) -> None:
    page.get_by_role("button", name="Speak").click()
    page.wait_for_function(HEARING)
    page.keyboard.press("Escape")
    expect(page.locator("#voice")).to_be_hidden()
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("#voice-state")).to_have_text(re.compile("Listening…|Hearing you…"))
    assert page.locator("#text").input_value() == ""
    page.get_by_role("button", name="Stop speaking").click()
    expect(page.locator("#voice")).to_be_hidden()


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("NotAllowedError", "does not let this page use the microphone"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "Another program may be using it"),
        ("", "A newer one can"),
    ],
)
def test_each_failure_has_its_sentence(hearing: Stack, failure: str, sentence: str) -> None:
    script = (
        f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{failure}'));"
        if failure
        else "delete window.AudioWorkletNode;"
    )
    with chromium() as browser:
        context = browser.new_context()
        page = log_in(context, hearing)
        page.evaluate(f"() => {{ {script} }}")
        page.get_by_role("button", name="Speak").click()
        expect(page.locator(".toast")).to_contain_text(sentence)
        expect(page.locator("#voice")).to_be_hidden()


def test_a_microphone_that_is_unplugged(page: Page) -> None:
    page.evaluate(
        """() => {
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wish) => (window.heldStream = await ask(wish));
        }"""
    )
    page.get_by_role("button", name="Speak").click()
    page.wait_for_function(HEARING)
    page.evaluate("() => window.heldStream.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.locator(".toast")).to_contain_text("was disconnected")
    expect(page.locator("#voice")).to_be_hidden()
