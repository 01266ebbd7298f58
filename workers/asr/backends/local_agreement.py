"""LocalAgreement-2: words on which two passes over a growing buffer agree are committed. Pure.

After Macháček, Dabre, Bojar: Turning Whisper into Real-Time Transcription System (2023), and the same authors'
whisper_streaming. A pass is all words from the buffer's start; the common beginning of two in a row is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PROMPT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Word:
    """Times are milliseconds from the utterance's start."""

    text: str
    start_ms: int
    end_ms: int


class Agreement:
    """The words of one utterance: committed ones, which stay, and the rest of the last pass."""

    def __init__(self) -> None:
        self.committed: list[Word] = []
        self._pending: list[Word] = []

    @property
    def text(self) -> str:
        return " ".join(word.text for word in [*self.committed, *self._pending])

    @property
    def prompt(self) -> str:
        """The end of what is committed, for a recogniser that gets the buffer without it."""
        return " ".join(word.text for word in self.committed)[-PROMPT_CHARACTERS:]

    @property
    def committed_ms(self) -> int:
        return self.committed[-1].end_ms if self.committed else 0

    def offer(self, words: Sequence[Word]) -> None:
        """Takes the words of a pass. Those before the end of the committed ones are ignored."""
        fresh = [word for word in words if (word.start_ms + word.end_ms) // 2 >= self.committed_ms]
        agreed = 0
        for before, now in zip(self._pending, fresh, strict=False):
            if _bare(before.text) != _bare(now.text):
                break
            agreed += 1
        self.committed += fresh[:agreed]
        self._pending = fresh[agreed:]

    def finish(self) -> str:
        """Commits the words of the last pass and returns the whole text."""
        self.committed += self._pending
        self._pending = []
        return self.text


def _bare(word: str) -> str:
    """The word without punctuation and case, in which passes differ."""
    return word.strip(" ,.;:!?…").casefold()
