"""A set of rules, compiled once, and what it finds in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from chat.moderation.matching.disguised import DisguisedIndex
from chat.moderation.matching.forms import Form, folded, plain
from chat.moderation.matching.linear import expressions
from chat.moderation.matching.patterns import Pattern, PatternIndex
from chat.moderation.matching.pii import LABELS, PersonalData, Pii, PiiIndex
from chat.moderation.matching.words import Word, WordIndex

_WORDS: Final = re.compile(r"\b\w+|(?<!\S)[^\w\s]")  # also those that begin with a symbol
WORD_CONTEXT: Final = 16
REACH: Final = 64  # characters that a hit in a stream may have; a longer one is found when it is complete


class Action(IntEnum):
    """What happens to a text that a rule finds something in. The greatest of several holds."""

    FLAG = 1
    MASK = 2
    HOLD = 3
    BLOCK = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule searches for. `disguised` also finds spaced, stretched and digit-spelled forms of its words."""

    number: int
    action: Action
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    pii: tuple[Pii, ...] = ()
    locale: str = ""
    disguised: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """`text[start:end]` of the searched text is what rule `rule` is about; `label` says so to a reader ("": a word)."""

    start: int
    end: int
    rule: int
    action: Action
    label: str = ""


class Matcher:
    """Compiled rules. Raises `ValueError` with a sentence for staff if a rule cannot be compiled (see `check`).

    `withholds_patterns`: a rule that does more than flag has a pattern or a kind of personal data, whose beginning is
    not known from a list.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        listed = list(rules)
        self.rules = {rule.number: rule for rule in listed}
        self._labels = {(rule.number, kind): LABELS[kind] for rule in listed for kind in rule.pii}
        words = [(rule, _word(rule, text)) for rule in listed for text in rule.words]
        self._words = WordIndex(word for _, word in words)
        self._disguised = DisguisedIndex(word for rule, word in words if rule.disguised)
        self._patterns = PatternIndex(Pattern(rule.number, text) for rule in listed for text in rule.patterns)
        self._pii = {
            kind: PiiIndex(PersonalData(rule.number, kind, rule.locale) for rule in listed if kind in rule.pii)
            for kind in Pii
            if any(kind in rule.pii for rule in listed)
        }
        withheld = [(rule, word) for rule, word in words if rule.action is not Action.FLAG]
        self._beginnings = WordIndex(word for _, word in withheld)
        self._disguises = DisguisedIndex(word for rule, word in withheld if rule.disguised)
        self.withholds_patterns = any((rule.patterns or rule.pii) and rule.action is not Action.FLAG for rule in listed)
        self._has_patterns = any(rule.patterns for rule in listed)
        self._is_disguised = any(rule.disguised for rule in listed)
        proposals = [(kind, pattern) for kind, index in self._pii.items() for pattern in index.proposals()]
        self._proposed = [kind for kind, _ in proposals]
        self._proposals = expressions([pattern for _, pattern in proposals])

    def find(self, text: str) -> list[Hit]:
        """All hits, in the order of the text. Offsets are those of `text` and never split what a reader sees as one
        character. A rule may hit the same place more than once."""
        return self._find(folded(text))

    def find_unfinished(self, text: str) -> tuple[list[Hit], int]:
        """The hits in the end of an unfinished text; and where in it, among its last `REACH` characters, the first word
        begins that may become a listed one which must not be shown: its length if there is none.
        """
        form = folded(text)
        return self._find(form), self._unfinished_from(form)

    def _unfinished_from(self, form: Form) -> int:
        text = form.text
        listed, disguised = self._beginnings.reach(text), self._disguises.reach(text)
        for match in _WORDS.finditer(text, max(0, len(text) - REACH, min(listed, disguised))):
            start = match.start()
            beginning = text[start:]
            if (start >= listed and self._beginnings.may_begin(beginning)) or (
                start >= disguised and self._disguises.may_begin(beginning)
            ):
                return form.span(start, start + 1)[0]
        return len(form.original)

    @property
    def context(self) -> int:
        """How many characters before a text must be searched with it: where all beginnings of hits are known from a
        list, only those that tell whether a word begins.
        """
        return REACH if self._has_patterns or self._pii or self._is_disguised else WORD_CONTEXT

    def _find(self, words: Form) -> list[Hit]:
        found = set(self._find_words(words))
        if self._has_patterns or self._pii:
            found.update(self._find_in_plain(plain(words.original)))
        return sorted(found) if found else []

    def _find_words(self, form: Form) -> Iterator[Hit]:
        for find in (self._words.find, self._disguised.find):
            for rule, start, end in find(form.text):
                yield self._hit(form, rule, start, end)

    def _find_in_plain(self, form: Form) -> Iterator[Hit]:
        for rule, start, end in self._patterns.find(form.text):
            yield self._hit(form, rule, start, end)
        if not self._proposed:
            return
        for kind in {self._proposed[number] for number in self._proposals.Match(form.text) or ()}:
            for rule, start, end in self._pii[kind].find(form.text):
                yield self._hit(form, rule, start, end, self._labels[rule, kind])

    def _hit(self, form: Form, rule: int, start: int, end: int, label: str = "") -> Hit:
        return Hit(*form.span(start, end), rule, self.rules[rule].action, label)


def check(rule: Rule) -> None:
    """Raises `ValueError` with a sentence for staff, as for an empty word or a pattern that RE2 refuses."""
    if not (rule.words or rule.patterns or rule.pii):
        raise ValueError("a rule needs a word, a pattern or a kind of personal data")
    Matcher([rule])


def action_of(hits: Sequence[Hit]) -> Action | None:
    """The most severe action; None: nothing was found."""
    return max((hit.action for hit in hits), default=None)


def masked(text: str, hits: Iterable[Hit], replacement: Callable[[Hit], str] | None = None) -> str:
    """`text` with each span that a hit covers replaced: personal data by its label in brackets, words by asterisks.

    Hits that overlap are replaced together, by what the first of them is.
    """
    make = replacement or (lambda hit: f"[{hit.label}]" if hit.label else "***")
    pieces, done = [], 0
    for first, end in _merged(hits):
        pieces += [text[done : first.start], make(first)]
        done = end
    return "".join([*pieces, text[done:]])


def _merged(hits: Iterable[Hit]) -> list[tuple[Hit, int]]:
    """The first hit of each stretch of overlapping hits, and where the stretch ends."""
    merged: list[tuple[Hit, int]] = []
    for hit in sorted(hits):
        if merged and hit.start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], hit.end))
        else:
            merged.append((hit, hit.end))
    return merged


def _word(rule: Rule, text: str) -> Word:
    return Word(rule.number, text, rule.locale.partition("-")[0])
