"""Whose turn it is in a call: by words, and by the loudness of what is played and heard. Stand-ins, as in a real room
noises and echoes come at no known time.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

TURN = "async ([name, text]) => (await import('antiphon/voice/turn-taking'))[name](text)"


def test_back_channel_and_unfinished_sentences(bare_page: Page) -> None:
    for text, expected in (
        ("uh-huh", True), ("Yes.", True), ("mhm, okay", True), ("ja genau", True), ("はい", True),
        ("yes but", False), ("stop", False), ("okay now tell me more", False), ("", False), ("no", False),
    ):  # fmt: skip
        assert bare_page.evaluate(TURN, ["isBackChannel", text]) is expected, text
    for text, waits in (
        ("I would like to know and", True), ("Tell me about the", True), ("Well, um", True), ("First,", True),
        ("Ich glaube, dass", True), ("What is it?", False), ("Tell me about Paris.", False),
        ("What is that for?", False),
        ("stop", False), ("", False),
    ):  # fmt: skip
        assert (bare_page.evaluate(TURN, ["pauseAfter", text]) > 0) is waits, text


def test_an_unfinished_sentence_waits_for_words_and_not_for_a_noise(bare_page: Page) -> None:
    sent = bare_page.evaluate(
        """async () => {
            const { Call } = await import("antiphon/voice/call");
            const make = () => {
                const sent = [];
                const voice = { finals: [], sendFinals: () => sent.push(voice.finals.splice(0).join(" ")) };
                return Object.assign(Object.create(Call.prototype), { voice, sent, waiting: 0, hear() {}, look() {} });
            };
            const [noise, words] = [make(), make()];
            for (const call of [noise, words]) {
                call.take("Tell me about the");
                call.onSpeech(true);
            }
            await new Promise((resolve) => setTimeout(resolve, 2_000));
            const meanwhile = [...noise.sent, ...words.sent];
            for (const call of [noise, words]) call.onSpeech(false);
            words.take("weather.");
            while (!noise.sent.length || !words.sent.length) await new Promise((resolve) => setTimeout(resolve, 20));
            return [meanwhile, noise.sent, words.sent];
        }"""
    )
    assert sent == [[], ["Tell me about the"], ["Tell me about the weather."]]


def test_an_echo_is_told_by_its_loudness(bare_page: Page) -> None:
    found = bare_page.evaluate(
        """async () => {
            const { isEchoSignal, loudness } = await import("antiphon/voice/echo-signal");
            const wave = (seed) => { // syllables: another loudness each 80 ms
                let [state, level] = [seed, 0.1];
                return Array.from({ length: 80 }, (_, i) => {
                    state = (state * 1103515245 + 12345) % 2147483648;
                    if (i % 4 === 0) level = 0.02 + (0.3 * state) / 2147483648;
                    return level;
                });
            };
            const levels = (row, from) => row.map((level, i) => ({ at: from + i * 20, level }));
            const played = levels(wave(1), 0);
            const delayed = levels(wave(1).map((level) => level * 0.15 + 0.001), 160);
            const other = levels(wave(2), 160);
            const both = delayed.map(({ at, level }, i) => ({ at, level: Math.hypot(level, other[i].level) }));
            const pcm = new Int16Array(1600).fill(8192);
            return {
                echo: isEchoSignal(delayed.slice(0, 60), played),
                person: isEchoSignal(other.slice(0, 60), played),
                both: isEchoSignal(both.slice(0, 60), played),
                silence: isEchoSignal(other.slice(0, 60), levels(new Array(80).fill(0), 0)),
                nothing: isEchoSignal([], played),
                loudness: loudness(pcm, 16000, 100),
            };
        }"""
    )
    assert [found[name] for name in ("echo", "person", "both", "silence", "nothing")] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert [one["at"] for one in found["loudness"]] == [100, 120, 140, 160, 180]
    assert {one["level"] for one in found["loudness"]} == {0.25}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("turns.onSpeech(100)", ["pause"]),
        ("turns.onSpeech(100); turns.onWords('uh-huh')", ["pause", "resume"]),
        ("turns.onSpeech(100); turns.onWords('fine day today')", ["pause", "resume"]),  # our own words
        ("turns.onSpeech(100); turns.onWords('stop it now')", ["pause", "interrupt"]),
        ("turns.onWords('wait a moment')", ["interrupt"]),
        ("turns.onSpeech(100); turns.onQuiet(); await turns.after", ["pause", "pause", "resume"]),  # a noise
        ("server(); turns.onAudio(loud)", ["pause"]),  # before the server has found speech
        ("server(); turns.onAudio(quiet)", []),
        ("turns.onAudio(loud)", []),  # the browser's voice: it may be our own
        ("aloud.reading.since = 0; turns.onSpeech(100)", []),  # nothing is heard yet
    ],
)
def test_when_a_call_falls_silent(bare_page: Page, script: str, expected: list[str]) -> None:
    done = bare_page.evaluate(
        """async () => {
            const { CallTurns } = await import("antiphon/voice/call-turns");
            const done = [];
            const engine = { pause: () => done.push("pause"), resume: () => done.push("resume") };
            const aloud = { reading: { since: 1, engine }, said: "It is a fine day today", server: null };
            aloud.interrupt = () => { done.push("interrupt"); aloud.reading = null; };
            const server = () => { aloud.server = { speaking: true, played: [] }; };
            const loud = Int16Array.from({ length: 1600 }, (_, i) => 9000 * Math.sin(i / 5)).buffer;
            const quiet = new Int16Array(1600).buffer;
            const turns = new CallTurns(aloud);
            const goOn = turns.goOn.bind(turns);
            turns.after = new Promise((resolve) => { turns.goOn = () => { resolve(goOn()); return false; }; });
            SCRIPT;
            return done;
        }""".replace("SCRIPT", script)
    )
    assert done == expected
