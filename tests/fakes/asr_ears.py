"""How the scripted recognisers hear: loud is speech, every 250 ms of it is the next word of their script."""

from __future__ import annotations

import array
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.fakes.asr_speech import BYTES_PER_MS, speak

LOUD: Final = 500  # mean absolute sample value
STEP_MS: Final = 20
WORD_MS: Final = 250
QUIET_MS: Final = 400  # of silence end an utterance

SENTENCES: Final = ("open the window", "call the doctor")


@dataclass(frozen=True)
class Sound:
    """`words`: the utterance so far; after "end", all of it."""

    kind: Literal["start", "words", "end"]
    at_ms: int
    words: tuple[str, ...] = ()


@dataclass
class Ears:
    """Hears PCM16 at `rate`. Utterance after utterance it takes the sentences in turn."""

    rate: int = 16_000
    sentences: tuple[str, ...] = SENTENCES
    endpointing: bool = True  # ends utterances by itself
    heard_ms: int = 0
    utterances: int = 0
    speaking: bool = False
    _loud_ms: int = 0
    _quiet_ms: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def feed(self, pcm: bytes) -> list[Sound]:
        sounds: list[Sound] = []
        size = self.rate * 2 * STEP_MS // 1000
        data = self._rest + pcm
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        for start in range(0, whole, size):
            samples = array.array("h", data[start : start + size])
            self._step(sum(map(abs, samples)) / len(samples) > LOUD, sounds)
        return sounds

    @property
    def sentence(self) -> tuple[str, ...]:
        return tuple(self.sentences[self.utterances % len(self.sentences)].split())

    @property
    def words(self) -> tuple[str, ...]:
        return self.sentence[: self._loud_ms // WORD_MS]

    def _step(self, loud: bool, sounds: list[Sound]) -> None:
        self.heard_ms += STEP_MS
        if loud:
            if not self.speaking:
                self.speaking = True
                self._loud_ms = 0
                sounds.append(Sound("start", self.heard_ms - STEP_MS))
            before = self.words
            self._quiet_ms = 0
            self._loud_ms += STEP_MS
            if self.words != before:
                sounds.append(Sound("words", self.heard_ms, self.words))
        elif self.speaking:
            self._quiet_ms += STEP_MS
            if self.endpointing and self._quiet_ms >= QUIET_MS:
                sounds += self.end()

    def end(self) -> list[Sound]:
        """Ends the utterance in progress."""
        if not self.speaking:
            return []
        self.speaking = False
        sound = Sound("end", self.heard_ms - self._quiet_ms, self.sentence)
        self.utterances += 1
        self._quiet_ms = 0
        return [sound]


def recognise(pcm: bytes, sentences: tuple[str, ...] = SENTENCES) -> list[tuple[str, int, int]]:
    """The words in a piece of audio, with start and end in milliseconds, exactly: a word is heard when the last 20 ms
    of its part of espeak-ng's sentence are in it, byte for byte. For recognisers that are given whole pieces.
    """
    found = []
    for sentence in sentences:
        spoken, words = speak(sentence), sentence.split()
        part = len(spoken) // len(words) // 2 * 2
        for number, word in enumerate(words, 1):
            end = part * number
            at = pcm.find(spoken[end - 20 * BYTES_PER_MS : end])
            if at >= 0:
                end_ms = at // BYTES_PER_MS + 20
                found.append((word, max(end_ms - part // BYTES_PER_MS, 0), end_ms))
    return sorted(found, key=lambda heard: heard[2])
