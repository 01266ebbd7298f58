"""A set of rules, compiled once, and what it finds in a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from chat.moderation.matching.disguised import DisguisedIndex
from chat.moderation.matching.forms import Form, folded, plain
from chat.moderation.matching.linear import expression, expressions
from chat.moderation.matching.patterns import Pattern, PatternIndex
from chat.moderation.matching.pii import (
    LABELS,
    PersonalData,
    Pii,
    PiiIndex,
    begun_iban_pattern,
    unfinished_iban_from,
)
from chat.moderation.matching.words import Word, WordIndex

NOTHING_TO_FIND: Final = "a rule needs a word, a pattern or a kind of personal data"
_HARMLESS: Final = ("Hello", "12")
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

    @property
    def searches(self) -> bool:
        """Whether there is anything to be searched for."""
        return bool(self.words or self.patterns or self.pii)


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
        self._is_disguised = any(rule.disguised for rule in listed)
        # All that is searched for in the plain form, in one pass; the patterns come first.
        proposals = [(kind, pattern) for kind, index in self._pii.items() for pattern in index.proposals()]
        self._proposed = [kind for kind, _ in proposals]
        own = [pattern for _, pattern in proposals]
        if any(Pii.IBAN in rule.pii and rule.action is not Action.FLAG for rule in listed):
            own.append(begun_iban_pattern())
        self._begun_iban = len(self._patterns.texts) + len(proposals)
        self._suspects = expressions([*self._patterns.texts, *(f"(?-i:{each})" for each in own)], any_case=True)
        self._has_suspects = bool(self._patterns.texts or own)

    def find(self, text: str) -> list[Hit]:
        """All hits, in the order of the text. Offsets are those of `text` and never split what a reader sees as one
        character. A rule may hit the same place more than once."""
        return self._find(folded(text), self._suspects_in(text))

    def find_unfinished(self, text: str, after: int = 0) -> tuple[list[Hit], int]:
        """The hits in the end of an unfinished text: all that end after `after`, and perhaps more. And where in it,
        among its last `REACH` characters, the first word or bank account begins that may become one which must not be
        shown: its length if there is none.
        """
        form, suspects = folded(text), self._suspects_in(text)
        return self._find(form, suspects, after), self._unfinished_from(form, suspects)

    def _suspects_in(self, text: str) -> Sequence[int]:
        """The numbers of what may be found in the plain form of `text`, besides words."""
        if not self._has_suspects:
            return ()
        return self._suspects.Match((text if text.isascii() else plain(text).text).encode()) or ()

    def _unfinished_from(self, form: Form, suspects: Sequence[int]) -> int:
        text, first = form.text, len(form.original)
        start = min(self._beginnings.unfinished_from(text), self._disguises.unfinished_from(text))
        if start < len(text):
            first = form.span(start, start + 1)[0]
        if self._begun_iban in suspects:
            form = plain(form.original)
            start = unfinished_iban_from(form.text)
            if start < len(form.text):
                first = min(first, form.span(start, start + 1)[0])
        return first

    @property
    def context(self) -> int:
        """How many characters before a text must be searched with it: where all beginnings of hits are known from a
        list, only those that tell whether a word begins.
        """
        return REACH if self._has_suspects or self._is_disguised else WORD_CONTEXT

    def _find(self, form: Form, suspects: Sequence[int], after: int = 0) -> list[Hit]:
        text = form.text
        words = self._words.find(text, after if form.has_same_offsets else 0) + self._disguised.find(text)
        if not (words or suspects):
            return []
        found = {self._hit(form, *each) for each in words}
        found.update(self._find_suspects(plain(form.original), suspects))
        return sorted(found)

    def _find_suspects(self, form: Form, suspects: Sequence[int]) -> Iterator[Hit]:
        patterns, kinds = len(self._patterns.texts), set[Pii]()
        for number in suspects:
            if number < patterns:
                for rule, start, end in self._patterns.find(number, form.text):
                    yield self._hit(form, rule, start, end)
            elif number != self._begun_iban:
                kinds.add(self._proposed[number - patterns])
        for kind in kinds:
            for rule, start, end in self._pii[kind].find(form.text):
                yield self._hit(form, rule, start, end, self._labels[rule, kind])

    def _hit(self, form: Form, rule: int, start: int, end: int, label: str = "") -> Hit:
        return Hit(*form.span(start, end), rule, self.rules[rule].action, label)


def check(rule: Rule) -> None:
    """Raises `ValueError` with a sentence for staff, as for an empty word, a pattern that RE2 refuses, or one that is
    found in whatever people write.
    """
    if not rule.searches:
        raise ValueError(NOTHING_TO_FIND)
    Matcher([rule])
    for pattern in rule.patterns:
        if all(expression(pattern, any_case=True).search(text) for text in _HARMLESS):
            raise ValueError(f"the pattern {pattern} is found in nearly every text")


def compile_fitting(rules: Iterable[Rule]) -> tuple[Matcher, dict[int, str]]:
    """As many of the rules as can be compiled together, from the first one on; and, by number, why others are left
    out.
    """
    listed = list(rules)
    try:
        return Matcher(listed), {}
    except ValueError:
        kept, left_out = list[Rule](), dict[int, str]()
    for rule in listed:
        try:
            Matcher([*kept, rule])
        except ValueError as error:
            left_out[rule.number] = str(error)
        else:
            kept.append(rule)
    return Matcher(kept), left_out


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
