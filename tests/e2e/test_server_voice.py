"""A voice of the server in the page: what is played of each sentence, and what the server is told of it.

The socket and the clock are stand-ins, since audio comes over a real one at no known time.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

SETUP = """
const { ServerVoice } = await import("antiphon/voice/server-voice");
const heard = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (at) {
    heard.push(...Array.from(this.buffer.getChannelData(0), (sample) => Math.round(sample * 32768)));
    start.call(this, at);
};
class Wire {
    listeners = {};
    sent = [];
    waiting = [];
    on(type, listener) { (this.listeners[type] ??= []).push(listener); }
    tell(frame) { for (const listener of this.listeners[frame.type] ?? []) listener(frame); }
    send(frame) { this.sent.push(frame); }
    request(frame) {
        this.sent.push(frame);
        return new Promise((resolve, reject) => this.waiting.push({ type: frame.type, resolve, reject }));
    }
    async begin(speech_id, stream) {
        const at = this.waiting.findIndex((one) => one.type === "tts.start");
        this.waiting.splice(at, 1)[0].resolve({ speech_id, stream });
        await new Promise((resolve) => setTimeout(resolve));
    }
    audio(stream, samples, ends) {
        const data = new ArrayBuffer(8 + samples.length * 2);
        new DataView(data).setUint8(0, 2);
        new DataView(data).setUint8(1, ends ? 1 : 0);
        new DataView(data).setUint16(2, stream);
        new Int16Array(data, 8).set(samples);
        this.onBytes(data);
    }
}
const row = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
const wire = new Wire();
const voice = new ServerVoice(wire);
voice.message = "m";
const look = voice.look.bind(voice);
voice.look = () => {}; // not by a timer
let clock = 0;
voice.context = new OfflineAudioContext(1, 24000, 24000);
Object.defineProperties(voice.context, { state: { get: () => "running" }, currentTime: { get: () => clock } });
const events = [];
const speak = (text) => voice.speak({
    text, lang: "en", onboundary: null,
    onstart: () => events.push(`start ${text}`), onend: () => events.push(`end ${text}`),
    onerror: ({ error }) => events.push(error),
});
const sent = (type, id) => wire.sent.filter((one) => one.type === type && one.speech_id === id);
const asked = (id) => sent("tts.say", id).map((one) => [one.number, one.text]);
"""


def run(page: Page, script: str) -> Any:
    return page.evaluate(f"async () => {{ {SETUP} {script} }}")


def test_the_rest_comes_over_the_next_connection(bare_page: Page) -> None:
    """From the first sample that is missing: nothing twice, nothing left out."""
    found = run(
        bare_page,
        """
        for (const text of ["One.", "Two.", "Three."]) speak(text);
        await wire.begin("a", 1);
        wire.audio(1, row(0, 100), true);
        wire.audio(1, row(100, 150), false);
        wire.tell({ type: "closed", next: "reconnect" });
        const begun = wire.waiting.filter((one) => one.type === "tts.start").length;
        for (const one of wire.waiting) if (one.type === "tts.say") one.reject(new Error("gone"));
        speak("Four."); // the answer goes on meanwhile
        await wire.begin("b", 2);
        wire.audio(1, row(900, 950), true); // late
        wire.audio(2, row(100, 130), false);
        wire.audio(2, row(130, 200), true);
        wire.audio(2, row(200, 300), false);
        wire.audio(2, [], true);
        wire.audio(2, row(300, 400), true);
        clock = 60;
        look();
        const played = sent("tts.played", "b").map((one) => one.number);
        return { begun, first: asked("a"), second: asked("b"), heard, events, played };
        """,
    )
    assert found["begun"] == 1
    assert found["first"] == [[0, "One."], [1, "Two."], [2, "Three."]]
    assert found["second"] == [[0, "Two."], [1, "Three."], [2, "Four."]]
    assert found["heard"] == list(range(400))
    assert found["events"] == [
        f"{what} {text}." for text in ("One", "Two", "Three", "Four") for what in ("start", "end")
    ]
    assert found["played"] == [0, 1, 2], "the first was whole before"


def test_what_came_whole_is_not_asked_for_again(bare_page: Page) -> None:
    found = run(
        bare_page,
        """
        speak("One.");
        await wire.begin("a", 1);
        wire.audio(1, row(0, 100), true);
        wire.tell({ type: "closed", next: "reconnect" });
        const idle = wire.waiting.filter((one) => one.type === "tts.start").length;
        speak("Two.");
        await wire.begin("b", 2);
        wire.audio(2, row(100, 200), true);
        wire.tell({ type: "closed", next: "login" });
        return { idle, second: asked("b"), heard, events };
        """,
    )
    assert found == {
        "idle": 0,
        "second": [[0, "Two."]],
        "heard": list(range(200)),
        "events": ["canceled", "canceled", "network"],
    }


def test_a_connection_that_is_lost_twice_before_a_reply(bare_page: Page) -> None:
    """The command is sent again by the socket: the voice begins one speech."""
    found = run(
        bare_page,
        """
        speak("One.");
        wire.tell({ type: "closed", next: "reconnect" });
        wire.tell({ type: "closed", next: "reconnect" });
        await wire.begin("a", 1);
        wire.audio(1, row(0, 100), true);
        voice.cancel();
        return { sent: wire.sent.map((one) => one.type), heard, events };
        """,
    )
    assert found == {
        "sent": ["tts.start", "tts.say", "tts.stop"],
        "heard": list(range(100)),
        "events": ["canceled"],
    }


def test_a_sentence_that_waits_for_its_audio_ends_once_all_is_played(bare_page: Page) -> None:
    found = run(
        bare_page,
        """
        speak("One.");
        await wire.begin("a", 1);
        const second = new Array(24000).fill(1);
        wire.audio(1, second, false);
        clock = 5;
        look();
        wire.audio(1, second, true);
        const after = [];
        for (const at of [5, 5.5, 6.1]) {
            clock = at;
            look();
            after.push([...events]);
        }
        return after;
        """,
    )
    assert found == [["start One."], ["start One."], ["start One.", "end One."]]
