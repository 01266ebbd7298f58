"""The settings of voice: what holds on all devices is kept with the account, the rest in this browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, log_in, send, shoot_views
from tests.e2e.calling import calling as calling  # a fixture
from tests.e2e.calling import loud as loud  # a fixture
from tests.e2e.calling import speech as speech  # a fixture
from tests.fakes.asr_recognisers import POCKETSPHINX_INSTALLED
from tests.fakes.speech_server import FakeSpeech
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)
DEVICES = """
window.wishes = [];
const devices = [["default", "Default"], ["a", "Desk microphone"], ["b", "Headset"]].map(
    ([deviceId, label]) => ({ kind: "audioinput", deviceId, label }));
let allowed = false;
navigator.mediaDevices.enumerateDevices = async () => devices.map((one) => (allowed ? one : { ...one, label: "" }));
navigator.mediaDevices.getUserMedia = async ({ audio }) => {
    allowed = true;
    window.wishes.push(audio);
    return new MediaStreamAudioDestinationNode(new AudioContext()).stream;
};
"""


@pytest.fixture
def page(loud: Browser, calling: Stack) -> Iterator[Page]:
    calling.sql("UPDATE accounts_user SET voice = '{}'")
    context = loud.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(40_000)
    context.add_init_script(DEVICES)
    yield log_in(context, calling)
    context.close()


def open_settings(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/accounts/settings/voice/")
    expect(page.get_by_label("Speed of reading aloud")).to_be_visible()


def kept(stack: Stack, **expected: str) -> None:
    for _ in range(100):
        [row] = stack.sql("SELECT voice FROM accounts_user WHERE email = 'alice@example.org'")
        if row["voice"] == expected:
            return
    raise AssertionError(row["voice"])


def test_what_is_chosen_holds_on_another_device(page: Page, loud: Browser, calling: Stack, speech: FakeSpeech) -> None:
    speech.ms_per_character = 20
    watch = Watch(page, calling.url)
    open_settings(page, calling)
    page.get_by_label("Who reads aloud").select_option("coral")
    page.get_by_label("Speed of reading aloud").select_option("Faster")
    page.get_by_role("checkbox", name="Send voice messages automatically").check()
    kept(calling, server="coral", speed="1.25", send="on")
    assert violations(page, "#settings") == []
    shoot_views(page, "settings-voice")
    other = loud.new_context(storage_state={"cookies": page.context.storage_state()["cookies"]}).new_page()
    other.goto(calling.url)
    other.wait_for_function("() => localStorage.getItem('antiphon.voice.speed') === '1.25'")
    other.get_by_role("button", name="Read answers aloud").click()
    send(other, 'Speak [[text="By the other device."]]')
    other.wait_for_function("() => document.getElementById('reading').hidden === false")
    for _ in range(100):
        if "By the other device." in speech.texts:
            break
        other.wait_for_timeout(100)
    spoken = next(one.body for one in speech.requests if one.body["input"] == "By the other device.")
    assert (spoken["voice"], spoken["speed"]) == ("coral", 1.25)
    open_settings(other, calling)
    expect(other.get_by_label("Who reads aloud")).to_have_value("coral")
    expect(other.get_by_role("checkbox", name="Send voice messages automatically")).to_be_checked()
    other.context.close()
    assert watch.complaints == []


def test_what_cannot_be_kept_for_others_is_said(page: Page, calling: Stack) -> None:
    open_settings(page, calling)
    page.route("**/settings/voice/choices/", lambda route: route.abort())
    page.get_by_label("Speed of reading aloud").select_option("Slower")
    expect(page.locator("[data-failed]")).to_contain_text("could not be saved for your other devices")
    assert page.evaluate("localStorage.getItem('antiphon.voice.speed')") == "0.8"
    page.unroute("**/settings/voice/choices/")
    page.get_by_label("Speed of reading aloud").select_option("Normal")
    expect(page.locator("[data-failed]")).to_be_hidden()


def test_the_microphone_is_chosen_and_used(page: Page, calling: Stack) -> None:
    open_settings(page, calling)
    page.get_by_role("button", name="Show microphones").click()
    choice = page.get_by_label("Microphone")
    expect(choice).to_be_focused()
    assert choice.locator("option").all_inner_texts() == ["Chosen by the browser", "Desk microphone", "Headset"]
    choice.select_option("Headset")
    page.get_by_role("checkbox", name="Read answers aloud").check()
    page.goto(calling.url)
    expect(page.get_by_role("button", name="Read answers aloud")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Record voice").click()
    page.wait_for_function("() => window.wishes.some((wish) => wish.deviceId?.ideal === 'b')")
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#voice")).to_be_hidden()


def test_speaking_need_not_stop_the_reading(page: Page, calling: Stack, bare_page: Page) -> None:
    open_settings(page, calling)
    page.get_by_role("checkbox", name="Stop reading when I speak").uncheck()
    chosen = page.evaluate("localStorage.getItem('antiphon.voice.interrupt')")
    bare_page.evaluate("chosen => localStorage.setItem('antiphon.voice.interrupt', chosen)", chosen)
    script = """async () => {
        const { CallTurns } = await import("antiphon/voice/call-turns");
        const { TalkOver } = await import("antiphon/voice/talk-over");
        const done = [];
        const engine = { pause: () => done.push("pause"), resume: () => done.push("resume") };
        const aloud = { reading: { since: 1, engine }, said: "It is a fine day", server: null };
        aloud.interrupt = () => done.push("interrupt");
        for (const turns of [new CallTurns(aloud), new TalkOver(aloud)]) {
            turns.onSpeech(900);
            done.push(turns.onWords("please stop that"), turns.onWords("a fine day"));
        }
        return done;
    }"""
    done = bare_page.evaluate(script)
    bare_page.evaluate("localStorage.clear()")
    assert [one for one in done if one != "resume"] == [True, False, True, False]


@pytest.mark.skipif(not POCKETSPHINX_INSTALLED, reason="the scripted recogniser understands any language")
def test_the_language_is_told_before_the_button_is_pressed(page: Page, calling: Stack) -> None:
    page.goto(calling.url)
    expect(page.locator("#mic")).to_have_attribute("title", "Record voice in English (hold Alt + V)")
    page.get_by_role("button", name="Start a call").click()
    expect(page.locator(".call-language")).to_have_text("English")
    page.get_by_role("button", name="End call").click()
    open_settings(page, calling)
    expect(page.locator("#settings")).to_contain_text("Speech recognition on this server understands English.")
