"""How long a spoken answer goes on after somebody begins to speak over it: in Chromium, in a call, with a voice of the
server. Called by `tests.bench.voice`.
"""

from __future__ import annotations

import base64
from typing import Final

from playwright.sync_api import Page, sync_playwright

from tests.e2e.browsing import chromium, log_in
from tests.e2e.voice_scripts import MICROPHONE
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_openai import FakeRealtime
from tests.fakes.asr_recognisers import KEY, realtime, run_in_thread
from tests.fakes.asr_speech import as_wav, utterance
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech
from tests.stack import run_stack

SPEAKING: Final = "#call-sheet[data-state=speaking]"
# When the page's sound stopped, by the clock of `spokeAt` (voice_scripts.py). The room's context is never suspended.
SILENCE: Final = """
window.silences = [];
const suspend = AudioContext.prototype.suspend;
AudioContext.prototype.suspend = async function () {
    await suspend.call(this);
    window.silences.push(performance.now());
};
"""


def _interrupt(page: Page, text: str, messages: int) -> float:
    """Milliseconds from the first sample of speech to silence; returns once the next answer is being spoken."""
    page.locator(SPEAKING).wait_for()
    page.evaluate("silences.length = 0")
    page.evaluate("text => speakInto(text)", text)
    page.wait_for_function("() => silences.length")
    found = float(page.evaluate("silences[0] - spokeAt"))
    page.locator(".message-user").nth(messages).wait_for(state="attached")
    return found


def barge_ins(count: int) -> list[float]:
    """Milliseconds of `count` interruptions of one call."""
    with (
        FakeOpenAI() as upstream,
        run_in_thread(lambda: FakeRealtime.run(KEY)) as asr,
        run_in_thread(lambda: FakeSpeech.run(KEY)) as speech,
        sync_playwright() as playwright,
        chromium(playwright, "--autoplay-policy=no-user-gesture-required") as browser,
    ):
        speech.ms_per_character = 400  # an answer takes most of a minute
        env = {
            "OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test", "CHAT_MODELS": "small",
            "SPEECH_BACKENDS": "openai", "SPEECH_URL": speech.url, "SPEECH_API_KEY": KEY, **realtime(asr).env,
        }  # fmt: skip
        with run_stack(env=env) as stack:
            context = browser.new_context()
            context.set_default_timeout(60_000)
            spoken = {text: base64.b64encode(as_wav(utterance(text, before=0))).decode() for text in SENTENCES}
            context.add_init_script(f"window.spoken = {spoken!r};{MICROPHONE}{SILENCE}")
            context.add_init_script("localStorage.setItem('antiphon.voice.server', 'nova')")
            page = log_in(context, stack)
            page.get_by_role("button", name="Start a call").click()
            page.locator("#call-sheet[data-state=listening]").wait_for()
            page.evaluate("text => speakInto(text)", SENTENCES[0])
            return [_interrupt(page, SENTENCES[number % 2], number) for number in range(1, count + 1)]
