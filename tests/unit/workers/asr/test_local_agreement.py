"""LocalAgreement-2, resampling and the replay buffer."""

from __future__ import annotations

import array
import math

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.asr_speech import BYTES_PER_MS
from workers.asr.audio.resample import Upsampler
from workers.asr.backends.local_agreement import Agreement, Word
from workers.asr.replay import Replay


def words(text: str, *, start: int = 0, each: int = 300) -> list[Word]:
    return [Word(word, start + n * each, start + (n + 1) * each) for n, word in enumerate(text.split())]


def test_two_passes_commit_what_they_agree_on() -> None:
    agreement = Agreement()
    agreement.offer(words("open the wind"))
    assert agreement.committed == []
    agreement.offer(words("Open the, window please"))
    assert [word.text for word in agreement.committed] == ["Open", "the,"]
    assert agreement.text == "Open the, window please"
    agreement.offer(words("a wholly different window please"))
    assert agreement.text == "Open the, different window please", "what is committed stays; the rest is the last pass"
    assert agreement.finish() == "Open the, different window please"


def test_a_trimmed_buffer_goes_on_where_it_was_cut() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.offer(words("one two three"))
    assert agreement.committed_ms == 900
    agreement.offer(words("four five", start=900))
    assert agreement.finish() == "one two three four five"
    assert agreement.prompt == "one two three four five"


def test_words_at_the_border_are_not_doubled() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.offer(words("explain the difference"))
    agreement.offer(words("difference between a list", start=800))  # 100 ms before the end of what is committed
    assert agreement.text == "explain the difference between a list"


def test_several_words_at_the_border_are_not_doubled() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.offer(words("explain the difference"))
    agreement.offer(words("The difference, between a list", start=1100))
    assert agreement.finish() == "explain the difference between a list"


def test_a_word_that_is_said_twice_stays() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.offer(words("it is very"))
    agreement.offer(words("very good", start=900))
    assert agreement.finish() == "it is very very good"


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5).map(" ".join), max_size=6))
def test_committed_words_are_never_taken_back(passes: list[str]) -> None:
    agreement, before = Agreement(), list[Word]()
    for text in passes:
        agreement.offer(words(text))
        assert agreement.committed[: len(before)] == before
        before = list(agreement.committed)


def sine(hertz: float, rate: int, ms: int = 200) -> array.array[int]:
    return array.array(
        "h", (round(10_000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(rate * ms // 1000))
    )


def test_a_tone_stays_the_same_tone_at_24_khz() -> None:
    for hertz in (200, 1000, 3000):
        pcm = sine(hertz, 16_000).tobytes()
        whole = array.array("h", Upsampler().feed(pcm))
        upsampler = Upsampler()
        pieces = array.array("h", b"".join(upsampler.feed(pcm[n : n + 646]) for n in range(0, len(pcm), 646)))
        assert whole == pieces, "however it is cut"
        assert abs(len(whole) - len(pcm) // 2 * 3 / 2) <= 12
        expected = sine(hertz, 24_000)
        error = max(abs(a - b) for a, b in zip(whole[200:-200], expected[200:-200], strict=False))
        assert error < 400, f"{hertz} Hz: off by {error} of 10000"


def test_the_replay_buffer_keeps_30_s_since_the_last_final() -> None:
    replay = Replay(keep_ms=1000)
    for number in range(15):
        replay.add(bytes([number]) * 100 * BYTES_PER_MS)
    assert (replay.start_ms, replay.end_ms) == (500, 1500)
    replay.forget_until(1250)
    assert replay.audio() == bytes([12]) * 50 * BYTES_PER_MS + b"".join(
        bytes([number]) * 100 * BYTES_PER_MS for number in (13, 14)
    )
    replay.forget_until(9999)
    assert (replay.start_ms, replay.audio()) == (1500, b"")
