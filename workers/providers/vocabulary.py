"""Counting with a model's own vocabulary, where one is at hand. Pure: no I/O.

`Vocabulary` is the contract; `workers.providers.vocabularies` finds and loads those of the packages `tokenizers` and
`tiktoken`. Counting happens on a worker's loop, beside all answers in progress, so it is bounded in every direction: a
text is counted in short pieces, of a long one a sample, one answer has `ANSWER_SECONDS` for all of its texts, and a
vocabulary that fails or is too slow is not used any more. Whatever is not counted is left to the measured ratio
(`workers.providers.counting`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

import structlog

from workers.providers.token_estimate import estimate_tokens

PIECE_CHARS: Final = 2000  # so much is counted at once: some encodings take the square of a word's length
MOST_PIECES: Final = 16  # of a text; of a longer one so many, evenly spaced, are counted for all
ANSWER_SECONDS: Final = 0.02  # of CPU, for all texts of an answer that were not counted before
PIECE_SECONDS: Final = 0.25  # of CPU; a vocabulary that takes longer for a piece is not used any more
KEPT_COUNTS: Final = 8192  # texts whose count is kept: an answer has most of its turns in common with the one before
LEAST_MEASURED: Final = 32  # tokens that say how the vocabulary counts the rest of an answer's texts

logger = structlog.get_logger(__name__)


class Vocabulary(Protocol):
    """The tokens of one model, or of several that share them."""

    @property
    def name(self) -> str: ...

    def count(self, text: str) -> int:
        """The tokens of a text of at most `PIECE_CHARS`, without those that a chat template adds. May raise anything,
        also what is no `Exception`: a panic in a package written in Rust.
        """


class CountedVocabulary:
    """A vocabulary of this process with the counts it has made, and whether it is still used."""

    def __init__(self, vocabulary: Vocabulary, clock: Callable[[], float] = time.thread_time) -> None:
        self.name = vocabulary.name
        self.works = True
        self._vocabulary = vocabulary
        self._clock = clock
        self._counts: dict[tuple[int, int], int] = {}

    def kept(self, text: str) -> int | None:
        """The tokens of a text that was counted before, if its count is kept."""
        return self._counts.get((hash(text), len(text)))

    def count(self, text: str, seconds: float) -> tuple[int | None, float]:
        """The tokens of a text, and the CPU seconds that it took. None: there was no time, or the vocabulary fails.

        Where `seconds` end before the text does, what was counted stands for the rest of it.
        """
        pieces = list(split_pieces(text))
        chosen = pieces[:: max(1, -(-len(pieces) // MOST_PIECES))]
        counted: list[str] = []
        found, spent = 0, 0.0
        for piece in chosen:
            if spent >= seconds:
                break
            tokens, took = self._count_piece(piece)
            spent += took
            if tokens is None:
                return None, spent
            found += tokens
            counted.append(piece)
        if text and not counted:
            return None, spent
        if len(counted) < len(pieces):
            found = math.ceil(found * estimate_tokens(text) / max(1, sum(map(estimate_tokens, counted))))
        if len(counted) == len(chosen):
            self._keep(text, found)
        return found, spent

    def _count_piece(self, piece: str) -> tuple[int | None, float]:
        if not self.works:
            return None, 0.0
        began = self._clock()
        try:
            tokens = self._vocabulary.count(piece)
        except BaseException as error:
            if not is_failure(error):
                raise
            self.works = False
            logger.warning("vocabulary_failed", vocabulary=self.name, error=f"{type(error).__name__}: {error}"[:300])
            return None, self._clock() - began
        took = self._clock() - began
        if took > PIECE_SECONDS:
            self.works = False
            logger.warning("vocabulary_too_slow", vocabulary=self.name, seconds=round(took, 3))
        return tokens, took

    def _keep(self, text: str, tokens: int) -> None:
        while len(self._counts) >= KEPT_COUNTS:
            del self._counts[next(iter(self._counts))]
        self._counts[hash(text), len(text)] = tokens


class AnswerVocabulary:
    """A vocabulary with the time that one answer has for counting with it."""

    def __init__(self, vocabulary: CountedVocabulary, seconds: float = ANSWER_SECONDS) -> None:
        self._vocabulary = vocabulary
        self._left = seconds
        self._measured: dict[str, tuple[int, int]] = {}

    def tokens(self, text: str, kind: str) -> int | None:
        """The tokens of a text of this kind (`counting.kind_of`). When the time is over, it is measured by what was
        counted of its kind. None: nobody knows.
        """
        found = self._vocabulary.kept(text)
        if found is not None:
            return found
        if self._left > 0 and self._vocabulary.works:
            found, spent = self._vocabulary.count(text, self._left)
            self._left -= spent
        estimated = estimate_tokens(text)
        exact, measured = self._measured.get(kind, (0, 0))
        if found is not None:
            self._measured[kind] = (exact + found, measured + estimated)
            return found
        return math.ceil(estimated * exact / measured) if measured >= LEAST_MEASURED else None


class Vocabularies:
    """The vocabularies of this process, by the models that they count for."""

    def __init__(
        self,
        by_name: Mapping[str, CountedVocabulary] | None = None,
        find: Callable[[str], CountedVocabulary | None] = lambda _model: None,
    ) -> None:
        """`by_name` has the names of folders, `find` tells by a model's name what the names of folders do not."""
        self._by_name = {name.lower(): one for name, one in (by_name or {}).items()}
        self._find = find

    def of(self, model: str) -> CountedVocabulary | None:
        """The vocabulary of a model: of its whole name, else without the maker before the last slash, else without the
        variant that follows a colon. Upper and lower case are the same.
        """
        for name in model_names(model):
            found = self._by_name.get(name) or self._find(name)
            if found is not None:
                return found if found.works else None
        return None


def model_names(model: str) -> Iterator[str]:
    """The names under which a model's vocabulary is looked up, in this order, in lower case."""
    name = model.lower()
    short = name.rpartition("/")[2]
    yield from dict.fromkeys((name, short, name.partition(":")[0], short.partition(":")[0]))


def split_pieces(text: str) -> Iterator[str]:
    """The text in pieces of at most `PIECE_CHARS`, cut before white space where there is some: no token of the usual
    vocabularies crosses it.
    """
    start = 0
    while len(text) - start > PIECE_CHARS:
        end = start + PIECE_CHARS
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        if cut <= start + PIECE_CHARS // 2:
            cut = end
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]


def is_failure(error: BaseException) -> bool:
    """Whether this is a failure of a package: an exception, or a panic of Rust code, which is none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
