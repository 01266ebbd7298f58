"""Speaking in a real browser, whose microphone is a recording of espeak-ng: words form, then the answer comes."""

from __future__ import annotations

import array
import cmath
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, WebSocketRoute, expect

from tests.e2e.browsing import Watch, answers, chromium, ended, log_in, reopen, send, shoot
from tests.e2e.voice_scripts import HEARING, RESAMPLED, VOICE, WITNESS
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import recogniser_of_any_audio
from tests.fakes.asr_speech import RATE, as_wav, resample, silence, utterance
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack, run_stack

pytestmark = pytest.mark.timeout(120)
FIRST = SENTENCES[0]
LONG = "This is the answer. " + " ".join(f"It has a part {n}." for n in ("one", "two", "three", "four", "five", "six"))


@pytest.fixture(scope="module")
def hearing(upstream: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": "sk-test",
        "CHAT_MODELS": "small",
        "RECORDINGS_PER_USER": "9",
        "RECORDINGS_AT_ONCE": "9",
        "ASR_SPEAKERS": "9",
    }
    with (
        recogniser_of_any_audio(tmp_path_factory.mktemp("grammar")) as asr,
        run_stack(web=1, workers=1, env=env | asr.env) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence, then silence. Chromium plays it from the moment the microphone is opened; 48 kHz is what it takes."""
    spoken = array.array("h", utterance(FIRST, before=700))
    file = tmp_path_factory.mktemp("speech") / "speech.wav"
    file.write_bytes(as_wav(resample(spoken, RATE, 48_000).tobytes() + silence(3 * 8_000), 48_000))
    return file


@pytest.fixture
def page(playwright: Playwright, hearing: Stack, speech: Path) -> Iterator[Page]:
    microphone = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={speech}%noloop",
        "--autoplay-policy=no-user-gesture-required",
    )
    with chromium(playwright, *microphone) as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(20_000)
        context.add_init_script(path=VOICE)
        context.add_init_script("if (location.pathname === '/') {" + WITNESS + "}")
        yield log_in(context, hearing)


def test_words_form_and_can_be_edited_before_they_are_sent(page: Page, hearing: Stack) -> None:
    watch = Watch(page, hearing.url)
    page.get_by_role("button", name="Record voice").click()
    page.wait_for_function("() => window.seen.some(([name, text]) => name === 'heard' && text)")
    shoot(page, "voice-forming")
    expect(page.locator("#text")).to_have_value(FIRST)
    shoot(page, "voice-final")
    seen = [(name, text) for name, text in page.evaluate("window.seen") if text]
    heard = [text for name, text in seen if name == "heard"]
    assert ("state", "Speech detected…") in seen[: seen.index(("heard", heard[0]))]
    assert all(set(text.split()) <= set(" ".join(SENTENCES).split()) for text in heard)
    page.get_by_role("button", name="Stop recording").click()
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
    page.get_by_role("button", name="Record voice").click()
    expect(page.locator(".message-user .message-body")).to_have_text(FIRST)
    ended(page)
    assert "/c/" in page.url
    assert page.locator("#text").input_value() == ""
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#voice")).to_be_hidden()
    page.reload()
    expect(answers(page)).to_have_count(1)


def test_escape_throws_it_away(page: Page) -> None:
    page.get_by_role("button", name="Record voice").click()
    page.wait_for_function(HEARING)
    page.keyboard.press("Escape")
    expect(page.locator("#voice")).to_be_hidden()
    page.get_by_role("button", name="Record voice").click()
    expect(page.locator("#voice-state")).to_have_text(re.compile("Listening…|Speech detected…"))
    assert page.locator("#text").input_value() == ""
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#voice")).to_be_hidden()


def test_talking_over_the_answer(page: Page, hearing: Stack, upstream: FakeOpenAI) -> None:
    """What was heard is what stays, here, in the database, and for the model."""
    page.get_by_role("button", name="Read answers aloud").click()
    send(page, f'Go on [[text="{LONG}" rate=6]]')
    page.wait_for_function("() => said.length > 1")
    page.get_by_role("button", name="Record voice").click()
    expect(page.locator("#reading")).to_be_hidden()
    said = [one["word"] for one in page.evaluate("said")]
    heard = " ".join(said[:-1])  # the word that had begun was not heard
    assert LONG.startswith(heard)
    assert len(said) > 4, "not at the first noise"
    answer = ended(page)
    expect(answer.locator(".message-body")).to_have_text(heard)
    expect(answer.locator(".message-note")).to_contain_text("You interrupted the answer")
    [row] = hearing.sql(
        "SELECT text, status FROM chat_message WHERE role = 'assistant' ORDER BY created_at DESC LIMIT 1"
    )
    assert (row["text"], row["status"]) == (heard, "stopped")
    expect(page.locator("#text")).to_have_value(FIRST)
    shoot(page, "voice-talked-over")
    page.get_by_role("button", name="Stop recording").click()
    page.locator("#text").press("Enter")
    ended(page, 2)
    assert [turn["content"] for turn in upstream.requests[-1].body["messages"]][-2:] == [heard, FIRST]
    assert [one["word"] for one in page.evaluate("said")][: len(said)] == said


def test_when_it_counts_as_talking_over(bare_page: Page) -> None:
    """By a stand-in for what reads, since noise and echoes come at no known time."""
    interrupted = """async () => {
        const { TalkOver } = await import("antiphon/voice/talk-over");
        const aloud = { reading: { since: performance.now() - 2000 }, said: "It is a fine day today", stopped: false };
        aloud.interrupt = () => { aloud.stopped = true; aloud.reading = null; };
        const over = new TalkOver(aloud);
        const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        SCRIPT;
        return aloud.stopped;
    }"""
    for script, expected in (
        ("over.onSpeech(100); await wait(200); over.onQuiet(); await wait(500)", False),  # a noise
        ("over.onSpeech(100); await wait(300)", False),  # not yet
        ("over.onSpeech(100); await wait(550)", True),
        ("over.onSpeech(100); over.onWords('stop')", True),  # the first word
        ("over.onSpeech(100); over.onWords('a fine day'); await wait(550)", False),  # our own voice
        ("over.onWords('fine day'); over.onSpeech(100); await wait(550)", False),  # it was heard before: words only
        ("over.onWords('fine day'); over.onWords('fine day but please stop now thank you')", True),
        ("aloud.reading.since = performance.now(); over.onSpeech(0); await wait(650)", False),  # it begins as we do
    ):
        assert bare_page.evaluate(interrupted.replace("SCRIPT", script)) is expected, script


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("NotAllowedError", "blocks the microphone"),
        ("NotFoundError", "No microphone found"),
        ("NotReadableError", "Another program may be using it"),
        ("", "too old for voice recording"),
    ],
)
def test_each_failure_has_its_sentence(browser: Browser, hearing: Stack, failure: str, sentence: str) -> None:
    script = (
        f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{failure}'));"
        if failure
        else "delete window.AudioWorkletNode;"
    )
    with browser.new_context() as context:
        page = log_in(context, hearing)
        page.evaluate(f"() => {{ {script} }}")
        page.get_by_role("button", name="Record voice").click()
        expect(page.locator(".toast")).to_contain_text(sentence)
        expect(page.locator("#voice")).to_be_hidden()


def test_a_page_that_is_not_secure_cannot_listen(browser: Browser, hearing: Stack) -> None:
    with browser.new_context() as context:
        page = log_in(context, hearing)
        page.evaluate("() => Object.defineProperty(window, 'isSecureContext', { value: false })")
        page.get_by_role("button", name="Record voice").click()
        expect(page.locator(".toast")).to_contain_text("needs a secure connection (https)")
        expect(page.locator("#voice")).to_be_hidden()


def test_a_slow_connection_loses_the_oldest_and_says_so(page: Page) -> None:
    page.get_by_role("button", name="Record voice").click()
    page.wait_for_function(HEARING)
    buffered = "(bytes) => Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => bytes })"
    page.evaluate(buffered, 1_000_000)
    page.wait_for_timeout(3_500)  # of which 2 s wait in the page
    page.evaluate(buffered, 0)
    expect(page.locator(".toast")).to_contain_text(re.compile(r"too slow: [1-3]\.\d s of your speech was lost"))
    expect(page.locator("#voice")).to_be_visible()
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#voice")).to_be_hidden()


def test_what_ends_a_recording_has_its_sentence(page: Page) -> None:
    """What the server says comes from a relay in between: most of it takes a fault or a used-up quota."""
    refusals: list[dict[str, Any]] = []
    relays: list[tuple[WebSocketRoute, WebSocketRoute]] = []
    ended: list[str | None] = []  # recordings whose audio is not passed on any more: the page does not know yet

    def relay(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        relays.append((route, server))

        def pass_on(message: str | bytes) -> None:
            frame = json.loads(message) if isinstance(message, str) else {}
            if frame.get("type") == "audio.start":
                ended.clear()
            if frame.get("type") == "audio.start" and refusals:
                route.send(json.dumps({"type": "error", "ref": frame["ref"], **refusals.pop()}))
            elif isinstance(message, str) or not ended:
                server.send(message)

        route.on_message(pass_on)

    def end(**fields: Any) -> None:
        route, server = relays[-1]
        recording = page.locator("#voice").get_attribute("data-recording")
        ended.append(recording)
        server.send(json.dumps({"type": "audio.stop", "recording_id": recording}))
        route.send(json.dumps(fields if fields["type"] == "error" else {"recording_id": recording, **fields}))

    reopen(page, relay)
    button = page.get_by_role("button", name="Record voice")
    for code, said in (("asr_unavailable", "Speech recognition is down."), ("busy", "Too many people are speaking.")):
        refusals.append({"code": code, "message": said})
        button.click()
        expect(page.locator(".toast")).to_contain_text(said)
        expect(page.locator("#voice")).to_be_hidden()
    for frame, said in (
        (
            {"type": "audio.closed", "reason": "quota_exceeded", "message": "No speech is left today."},
            "No speech is left",
        ),
        ({"type": "audio.closed", "reason": "idle"}, "no audio arrived from the microphone"),
        ({"type": "audio.closed", "reason": "limit"}, "reached its maximum length"),
        ({"type": "audio.closed", "reason": "worker_stopped"}, "The server is restarting"),
        ({"type": "error", "code": "asr_unavailable", "message": "The recogniser broke."}, "The recogniser broke."),
    ):
        button.click()
        expect(page.locator("#voice-state")).to_have_text(re.compile("Listening…|Speech detected…"))
        end(**frame)
        expect(page.locator(".toast")).to_contain_text(said)
        expect(page.locator("#voice")).to_be_hidden()
    button.click()
    expect(page.locator("#voice-state")).to_have_text(re.compile("Listening…|Speech detected…"))
    relays[-1][0].close(code=1012)
    expect(page.locator(".toast")).to_contain_text("The connection was lost while you were speaking")
    expect(page.locator("#voice")).to_be_hidden()


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_what_firefox_needs_resampled_keeps_speech_and_folds_nothing_into_it(page: Page, rate: int) -> None:
    def level(hertz: int, *, at: int) -> float:
        """Of the part at `at` Hz of a tone of `hertz`, in dB below what went in."""
        samples = page.evaluate(RESAMPLED, [rate, hertz])[1_600:14_400]  # whole periods of either tone
        assert len(samples) == 12_800
        angle = 2j * math.pi * at / RATE
        strength = abs(sum(sample * cmath.exp(-angle * n) for n, sample in enumerate(samples))) * 2 / len(samples)
        return 20 * math.log10(max(strength, 1e-9) / (0.5 * 32767))

    assert level(1_000, at=1_000) == pytest.approx(0, abs=1)
    assert level(6_000, at=6_000) == pytest.approx(0, abs=1.5)
    assert level(10_000, at=6_000) < -40, "10 kHz would fold to 6 kHz"
    assert level(15_000, at=1_000) < -40


def test_a_microphone_that_is_unplugged(page: Page) -> None:
    page.evaluate(
        """() => {
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wish) => (window.heldStream = await ask(wish));
        }"""
    )
    page.get_by_role("button", name="Record voice").click()
    page.wait_for_function(HEARING)
    page.evaluate("() => window.heldStream.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.locator(".toast")).to_contain_text("was disconnected")
    expect(page.locator("#voice")).to_be_hidden()
