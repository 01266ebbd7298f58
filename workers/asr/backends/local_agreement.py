"""LocalAgreement-2: words on which two passes over a growing buffer agree are committed. Pure.

After Macháček, Dabre, Bojar: Turning Whisper into Real-Time Transcription System (2023), and the same authors'
whisper_streaming. A pass is all words from the buffer's start; the common beginning of two in a row is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PROMPT_CHARACTERS: Final = 200
LONGEST_REPEAT: Final = 5  # words
REPEAT_MS: Final = 500  # after the end of what is committed, at most, a pass repeats words of it


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
        """Takes the words of a pass. Those before the end of the committed ones are ignored, and so are last committed
        words that the pass has a little later. "very very" stays: one word is a repeat only if it begins too early.
        """
        fresh = [word for word in words if (word.start_ms + word.end_ms) // 2 >= self.committed_ms]
        fresh = fresh[self._repeated(fresh) :]
        agreed = 0
        for before, now in zip(self._pending, fresh, strict=False):
            if _bare(before.text) != _bare(now.text):
                break
            agreed += 1
        self.committed += fresh[:agreed]
        self._pending = fresh[agreed:]

    def _repeated(self, fresh: Sequence[Word]) -> int:
        """How many of the first of these words are the last committed ones again."""
        for count in range(min(LONGEST_REPEAT, len(fresh), len(self.committed)), 0, -1):
            allowed = REPEAT_MS if count > 1 else 0
            if fresh[0].start_ms < self.committed_ms + allowed and [_bare(word.text) for word in fresh[:count]] == [
                _bare(word.text) for word in self.committed[-count:]
            ]:
                return count
        return 0

    def finish(self) -> str:
        """Commits the words of the last pass and returns the whole text."""
        self.committed += self._pending
        self._pending = []
        return self.text


def _bare(word: str) -> str:
    """The word without punctuation and case, in which passes differ."""
    return word.strip(" ,.;:!?…").casefold()
