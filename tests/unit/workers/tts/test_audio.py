"""PCM with and without a WAV header, and the cache of spoken sentences."""

from __future__ import annotations

import pytest

from tests.fakes.speech_server import _as_wav as as_wav
from tests.fakes.speech_server import tone
from workers.tts.cache import SpeechCache
from workers.tts.wav import WavReader


def read(data: bytes, step: int) -> bytes:
    reader = WavReader(24_000)
    return b"".join(reader.feed(data[start : start + step]) for start in range(0, len(data), step))


@pytest.mark.parametrize("step", [1, 7, 4_800, 1_000_000])
def test_raw_pcm_stays_as_it_is(step: int) -> None:
    pcm = tone(50)
    assert read(pcm, step) == pcm


@pytest.mark.parametrize("step", [1, 7, 4_800, 1_000_000])
def test_a_wav_file_is_resampled(step: int) -> None:
    pcm = read(as_wav(tone(50, 48_000)), step)
    assert len(pcm) == len(tone(50))
    assert pcm == read(as_wav(tone(50, 48_000)), 1_000_000), "whatever the pieces"
    first, again = memoryview(pcm).cast("h"), memoryview(tone(50)).cast("h")
    assert max(abs(one - other) for one, other in zip(first[10:], again[9:], strict=False)) < 600


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0OggS" + bytes(40), as_wav(b"")[:34] + b"\x08\x00" + bytes(60)])
def test_what_is_no_pcm16_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"WAV|bits"):
        read(data, 1_000)


def test_the_cache_has_a_size_and_an_age() -> None:
    now = [0.0]
    cache = SpeechCache(400, 10, lambda: now[0])
    for name in "abcd":
        cache.put((name,), bytes(100))
    assert cache.get(("a",)) == bytes(100)
    cache.put(("e",), bytes(100))
    assert cache.get(("b",)) is None, "not used for the longest time"
    assert cache.get(("a",)) is not None
    cache.put(("long",), bytes(101))
    assert (cache.get(("long",)), cache.size) == (None, 400)
    now[0] = 10
    assert (cache.get(("a",)), cache.size) == (None, 0)
    assert SpeechCache(0, 10).get(("a",)) is None
