"""Speech for tests: sentences spoken by espeak-ng (Debian package `espeak-ng`), as 16 kHz mono PCM16."""

from __future__ import annotations

import array
import functools
import io
import math
import operator
import subprocess
import wave
from collections.abc import Iterator
from typing import Final

RATE: Final = 16_000
BYTES_PER_MS: Final = 32
VOICE: Final = ("-v", "en-us+f5", "-s", "130", "-p", "40")  # what pocketsphinx understands best of espeak's voices
TAPS: Final = 24
QUIET: Final = 200


@functools.cache
def speak(text: str) -> bytes:
    """`text` spoken. Fails, never skips, where espeak-ng is missing: `make test` installs it."""
    done = subprocess.run(["espeak-ng", *VOICE, "--stdout", text], capture_output=True, check=True, timeout=20)
    with wave.open(io.BytesIO(done.stdout[:4] + b"\xff\xff\xff\x7f" + done.stdout[8:])) as spoken:
        rate = spoken.getframerate()
        samples = array.array("h", spoken.readframes(spoken.getnframes()))
    while samples and abs(samples[-1]) < QUIET:  # espeak-ng ends with 0.3 s of silence
        samples.pop()
    return resample(samples, rate, RATE).tobytes()


def resample(samples: array.array[int], rate: int, wanted: int) -> array.array[int]:
    """Windowed-sinc interpolation."""
    common = math.gcd(rate, wanted)
    step, phases = rate // common, wanted // common  # a sample of the result is step / phases of the source's later
    weights = [_weights(phase / phases, min(1.0, wanted / rate)) for phase in range(phases)]
    padded = [0] * TAPS + samples.tolist() + [0] * TAPS
    out = array.array("h")
    for place in range(len(samples) * phases // step):
        whole, phase = divmod(place * step, phases)
        first = whole - TAPS // 2 + 1 + TAPS
        total = sum(map(operator.mul, padded[first : first + TAPS], weights[phase]))
        out.append(max(-32768, min(32767, round(total))))
    return out


def _weights(fraction: float, cutoff: float) -> list[float]:
    """Of the `TAPS` samples around a place, which lies this fraction of a sample behind one of them."""
    found = []
    for tap in range(-TAPS // 2 + 1, TAPS // 2 + 1):
        x = (fraction - tap) * cutoff
        window = 0.5 + 0.5 * math.cos(2 * math.pi * (fraction - tap) / TAPS)
        found.append(window * cutoff * (math.sin(math.pi * x) / (math.pi * x) if x else 1.0))
    return found


def silence(ms: int) -> bytes:
    return bytes(ms * BYTES_PER_MS)


def tone(ms: int, hertz: float = 440, volume: float = 0.3) -> bytes:
    samples = (round(32767 * volume * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(ms * RATE // 1000))
    return array.array("h", samples).tobytes()


def music(ms: int, volume: float = 0.5) -> bytes:
    """Chords with overtones, each struck and fading, two a second."""
    chords = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))
    out, beat = array.array("h"), RATE // 2
    for n in range(ms * RATE // 1000):
        chord, fading = chords[n // beat % 4], math.exp(-3 * (n % beat) / beat)
        waves = (math.sin(2 * math.pi * hertz * k * n / RATE) / k for hertz in chord for k in (1, 2, 3))
        out.append(round(32767 * volume * fading * sum(waves) / 5.5))
    return out.tobytes()


def typing_noise(ms: int) -> bytes:
    """A keyboard: short bursts of noise at irregular times, each followed by a softer one as the key comes up."""
    out, state = b"", 7
    while len(out) < ms * BYTES_PER_MS:
        state = (1103515245 * state + 12345) & 0x7FFFFFFF
        out += (
            white_noise(8, 0.5, state)
            + silence(40 + state % 30)
            + white_noise(5, 0.2, state)
            + silence(60 + state % 110)
        )
    return out[: ms * BYTES_PER_MS]


def white_noise(ms: int, volume: float = 0.6, seed: int = 1) -> bytes:
    state, out = seed, array.array("h")
    for _ in range(ms * RATE // 1000):
        state = (1103515245 * state + 12345) & 0x7FFFFFFF
        out.append(int((state / 0x3FFFFFFF - 1) * 32767 * volume))
    return out.tobytes()


def frames(pcm: bytes, ms: int = 100) -> Iterator[bytes]:
    step = ms * BYTES_PER_MS
    for start in range(0, len(pcm), step):
        yield pcm[start : start + step]


def utterance(text: str, *, before: int = 300, after: int = 900) -> bytes:
    """A sentence between silences of so many milliseconds."""
    return silence(before) + speak(text) + silence(after)


def as_wav(pcm: bytes, rate: int = RATE) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()
