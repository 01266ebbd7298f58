"""Voice activity detection: finds where speech starts and ends, for recognisers that do not report it.

WebRTC's detector judges each frame by itself; it accepts frames of exactly 10, 20 or 30 ms. A vote over the last frames
decides. Loud continuous noise counts as speech, so the length of an utterance is limited.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import webrtcvad

from workers.asr.base import BYTES_PER_MS, SAMPLE_RATE

FRAME_MS: Final = 30  # the detector accepts 10, 20 and 30
FRAME_BYTES: Final = FRAME_MS * BYTES_PER_MS
VAD_MODE: Final = 2  # 0: most frames count as speech; 3: fewest
START_FRAMES: Final = 7
START_VOTES: Final = 5
PRE_ROLL_MS: Final = 240  # before the first of them: consonants come before what a detector calls speech
QUIET_MS: Final = 240  # of silence are passed on; more only once speech goes on, for decoding it delays the final
NOISE_MS: Final = 300  # a single word in less speech than this is a knock, not a word


@dataclass(frozen=True, slots=True)
class Began:
    at_ms: int


@dataclass(frozen=True, slots=True)
class Audio:
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """`end_ms` is where the last speech was."""

    start_ms: int
    end_ms: int

    @property
    def speech_ms(self) -> int:
        """From the first sound to the last."""
        return max(self.end_ms - self.start_ms - PRE_ROLL_MS, 0)


Step = Began | Audio | Ended


class VoiceGate:
    """Cuts a stream into utterances: `Began`, `Audio`…, `Ended`, and nothing of the silence between.

    Speech begins when START_VOTES of the last START_FRAMES are speech; what was just before comes along. It ends when
    at most a tenth of the last `silence_ms` is. Unlike pocketsphinx's Endpointer, which holds all audio back by its
    window, this one passes audio on as it comes, so that words form that much earlier. The silence that ends an
    utterance is held back after QUIET_MS: a decoder that is behind would have to get through it before the final.
    """

    def __init__(self, *, silence_ms: int = 500, max_utterance_ms: int = 30_000) -> None:
        self._vad = webrtcvad.Vad(VAD_MODE)
        self._quiet_frames = max(silence_ms // FRAME_MS, 3)
        self._max_ms = max_utterance_ms
        self._rest = b""
        self._before: deque[bytes] = deque(maxlen=START_FRAMES + PRE_ROLL_MS // FRAME_MS)
        self._votes: deque[bool] = deque(maxlen=max(START_FRAMES, self._quiet_frames))
        self._held: list[bytes] = []
        self._start_ms = 0
        self._last_speech_ms = 0
        self.heard_ms = 0  # how much audio was looked at
        self.speaking = False

    def feed(self, pcm: bytes) -> list[Step]:
        """The steps that these samples lead to. PCM of any length; what is no whole frame waits for the next call."""
        steps: list[Step] = []
        data = self._rest + pcm
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        for start in range(0, whole, FRAME_BYTES):
            self._step(data[start : start + FRAME_BYTES], steps)
        return _joined(steps)

    def _step(self, frame: bytes, steps: list[Step]) -> None:
        self.heard_ms += FRAME_MS
        speech = self._vad.is_speech(frame, SAMPLE_RATE)
        self._votes.append(speech)
        if speech:
            self._last_speech_ms = self.heard_ms
        if not self.speaking:
            self._before.append(frame)
            if sum(list(self._votes)[-START_FRAMES:]) >= START_VOTES:
                self.speaking = True
                self._start_ms = self.heard_ms - len(self._before) * FRAME_MS
                steps += (Began(self._start_ms), Audio(b"".join(self._before)))
                self._before.clear()
            return
        self._held.append(frame)
        if speech or self.heard_ms - self._last_speech_ms <= QUIET_MS:
            steps.append(Audio(b"".join(self._held)))
            self._held.clear()
        recent = list(self._votes)[-self._quiet_frames :]
        if len(recent) == self._quiet_frames and sum(recent) <= self._quiet_frames // 10:
            steps.append(self._end(self._last_speech_ms))
        elif self.heard_ms - self._start_ms >= self._max_ms:
            steps.append(self._end(self.heard_ms))

    def _end(self, at_ms: int) -> Ended:
        """Ends the utterance; what follows is judged anew."""
        self.speaking = False
        self._votes.clear()
        self._held.clear()
        return Ended(self._start_ms, at_ms)

    def flush(self) -> list[Step]:
        """Ends an utterance in progress now, with all that was fed."""
        steps: list[Step] = []
        if self._rest:
            self._step(self._rest.ljust(FRAME_BYTES, b"\0"), steps)
            self._rest = b""
        if self.speaking:
            steps.append(self._end(self.heard_ms))
        return _joined(steps)


def _joined(steps: list[Step]) -> list[Step]:
    """The same steps, neighbouring audio in one piece."""
    joined: list[Step] = []
    for step in steps:
        if isinstance(step, Audio) and joined and isinstance(joined[-1], Audio):
            joined[-1] = Audio(joined[-1].pcm + step.pcm)
        else:
            joined.append(step)
    return joined


def is_noise(text: str, speech_ms: int) -> bool:
    """Whether a transcript is what recognisers make of a knock or a cough."""
    words = text.split()
    return not words or (len(words) == 1 and speech_ms < NOISE_MS)
