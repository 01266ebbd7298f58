"""Where utterances begin and end."""

from __future__ import annotations

import pytest

from tests.fakes.asr_speech import (
    BYTES_PER_MS,
    frames,
    music,
    silence,
    speak,
    tone,
    typing_noise,
    utterance,
    white_noise,
)
from workers.asr.audio.vad import GateStep, SpeechAudio, SpeechEnded, SpeechPaused, SpeechStarted, VoiceGate, is_noise

SENTENCE = "open the window"


def steps_of(gate: VoiceGate, pcm: bytes, *, chunk_ms: int = 100) -> list[tuple[int, GateStep]]:
    """Every step, with the milliseconds that had been fed when it came."""
    found: list[tuple[int, GateStep]] = []
    for number, chunk in enumerate(frames(pcm, chunk_ms), 1):
        found += [(number * chunk_ms, step) for step in gate.feed(chunk)]
    return found


def test_an_utterance_begins_soon_and_ends_after_the_silence() -> None:
    spoken = speak(SENTENCE)
    steps = steps_of(VoiceGate(silence_ms=500), silence(1000) + spoken + silence(1000))
    kinds = [type(step) for _, step in steps]
    assert (kinds[0], kinds[-1]) == (SpeechStarted, SpeechEnded)
    assert set(kinds[1:-1]) == {SpeechAudio, SpeechPaused}
    began_at, began = steps[0]
    ended_at, ended = steps[-1]
    assert isinstance(began, SpeechStarted)
    assert isinstance(ended, SpeechEnded)
    speech_end = 1000 + len(spoken) // BYTES_PER_MS
    assert 600 <= began.at_ms <= 1100, "with what came just before"
    assert began_at <= 1400, "noticed within 0.4 s of the file's start"
    assert ended.end_ms <= speech_end
    assert ended_at - ended.end_ms <= 700


def test_nothing_between_the_start_and_the_end_is_lost() -> None:
    pcm = utterance(SENTENCE)
    for chunk_ms in (20, 100, 250):
        steps = steps_of(VoiceGate(), pcm, chunk_ms=chunk_ms)
        heard = b"".join(step.pcm for _, step in steps if isinstance(step, SpeechAudio | SpeechPaused))
        began = next(step for _, step in steps if isinstance(step, SpeechStarted))
        start = began.at_ms * BYTES_PER_MS
        assert heard == pcm[start : start + len(heard)]
        assert len(heard) >= len(speak(SENTENCE)) * 0.9


def test_a_pause_is_passed_on_whole_and_the_last_silence_is_not() -> None:
    first, second = speak(SENTENCE), speak("call the doctor")
    pcm = silence(300) + first + silence(400) + second + silence(900)
    steps = [step for _, step in steps_of(VoiceGate(silence_ms=700), pcm)]
    heard = b"".join(step.pcm for step in steps if isinstance(step, SpeechAudio | SpeechPaused))
    [began] = [step for step in steps if isinstance(step, SpeechStarted)]
    [ended] = [step for step in steps if isinstance(step, SpeechEnded)]
    start = began.at_ms * BYTES_PER_MS
    assert heard == pcm[start : start + len(heard)]
    after_speech = start + len(heard) - ended.end_ms * BYTES_PER_MS
    assert 90 <= after_speech // BYTES_PER_MS <= 160


def test_silence_is_nothing() -> None:
    assert steps_of(VoiceGate(), silence(3000)) == []


@pytest.mark.parametrize("noise", ["white", "hum", "tone", "clicks", "music", "keyboard"])
def test_noise_is_no_speech(noise: str) -> None:
    pcm = {
        "white": lambda: white_noise(5_000),
        "hum": lambda: tone(5_000, 50, 0.6),
        "tone": lambda: tone(5_000, 440, 0.6),
        "music": lambda: music(6_000),
        "keyboard": lambda: typing_noise(6_000),
        "clicks": lambda: (white_noise(20, 0.9) + silence(180)) * 25,
    }[noise]()
    assert steps_of(VoiceGate(), pcm) == []


def test_speech_without_end_is_cut() -> None:
    steps = steps_of(VoiceGate(max_utterance_ms=3000), speak(SENTENCE) * 8)
    ends = [step for _, step in steps if isinstance(step, SpeechEnded)]
    assert len(ends) >= 2
    assert all(end.end_ms - end.start_ms <= 3100 for end in ends)


def test_a_silence_is_reported_at_its_beginning_and_once() -> None:
    pcm = silence(300) + speak(SENTENCE) + silence(400) + speak("call the doctor") + silence(900)
    steps = [(at, type(step)) for at, step in steps_of(VoiceGate(silence_ms=700), pcm)]
    pauses = [at for at, kind in steps if kind is SpeechPaused]
    [ended] = [at for at, kind in steps if kind is SpeechEnded]
    assert len(pauses) == 2, "in the middle, and before the end"
    assert ended - pauses[1] >= 500, "early enough to transcribe meanwhile"


def test_silence_is_passed_on_with_the_pause_or_when_speech_goes_on() -> None:
    """A decoder that began with it would be busy when the final transcript is wanted."""
    gate = VoiceGate()
    spoken = silence(300) + speak(SENTENCE)
    steps = [step for _, step in steps_of(gate, spoken + silence(2000), chunk_ms=32)]
    *_, last, ended = [step for step in steps if not isinstance(step, SpeechStarted)]
    assert isinstance(last, SpeechPaused)
    assert len(last.pcm) == 128 * BYTES_PER_MS
    assert isinstance(ended, SpeechEnded)


def test_flush_ends_it_at_once() -> None:
    gate = VoiceGate()
    steps_of(gate, silence(300) + speak(SENTENCE)[: 800 * BYTES_PER_MS])
    assert isinstance(gate.flush()[-1], SpeechEnded)
    assert gate.flush() == [], "there is nothing to end any more"


def test_the_end_of_a_word_is_not_lost_when_the_speaker_ends_the_recording() -> None:
    pcm = silence(300) + speak(SENTENCE)[: 800 * BYTES_PER_MS] + silence(64)
    gate = VoiceGate()
    steps = [step for _, step in steps_of(gate, pcm, chunk_ms=32)] + gate.flush()
    [began] = [step for step in steps if isinstance(step, SpeechStarted)]
    heard = b"".join(step.pcm for step in steps if isinstance(step, SpeechAudio | SpeechPaused))
    assert len(heard) // BYTES_PER_MS >= 1164 - began.at_ms - 32


def test_a_short_single_word_is_noise() -> None:
    assert is_noise("", 2000)
    assert is_noise("fife", 200)
    assert not is_noise("five", 400)
    assert not is_noise("oh no", 200)
