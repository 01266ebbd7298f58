"""Finds listed words with their inflections, as whole words, in the folded form of a text (Aho-Corasick)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import ahocorasick

from chat.moderation.matching.forms import folded

MOST_CHARACTERS: Final = 64  # of one listed word or phrase, folded

# What may follow a listed word. Where its "e" is dropped or its last letter doubled: those that begin with a vowel.
ENDINGS: Final[dict[str, frozenset[str]]] = {
    "en": frozenset({"s", "es", "ed", "d", "er", "ers", "est", "ing", "ings", "in", "y"}),
    "de": frozenset({"e", "er", "en", "es", "em", "s", "n", "in", "innen", "st", "t", "te", "ten", "end"}),
    "fr": frozenset({"s", "e", "es", "x", "er", "ez", "ent", "ait"}),
    "es": frozenset({"s", "es", "a", "as", "o", "os"}),
    "it": frozenset({"i", "e", "a", "o"}),
    "pt": frozenset({"s", "es", "a", "as", "o", "os"}),
    "nl": frozenset({"s", "e", "en", "er", "ers", "t"}),
}
LONGEST_ENDING: Final = max(len(ending) for endings in ENDINGS.values() for ending in endings)
_VOWELS: Final = frozenset("aeiouy")
# Scripts that write no blanks between words, as ranges of code points. Korean has blanks, but adds particles to words.
_UNSPACED: Final = (
    range(0x0E00, 0x0F00), range(0x1000, 0x10A0), range(0x1780, 0x1800), range(0x3040, 0x3100), range(0x3400, 0xA000),
    range(0xAC00, 0xD7A4), range(0xF900, 0xFB00), range(0x20000, 0x32000),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """A listed word or phrase of rule `rule`; `locale` names the endings that it may have ("": none)."""

    rule: int
    text: str
    locale: str = ""

    def form(self) -> str:
        """What is searched for. Raises `ValueError` for a word that is empty, too long or has no letter or digit."""
        form = " ".join(folded(self.text).text.split())
        if not any(character.isalnum() for character in form):
            raise ValueError("a word needs a letter or a digit")
        if len(form) > MOST_CHARACTERS:
            raise ValueError(f"a word has at most {MOST_CHARACTERS} characters")
        return form


class WordIndex:
    """The words of many rules. Raises `ValueError` as `Word.form` does."""

    def __init__(self, words: Iterable[Word]) -> None:
        found: defaultdict[str, set[tuple[int, str, bool]]] = defaultdict(set)
        for word in words:
            form = word.form()
            found[form].add((word.rule, word.locale, False))
            if word.locale and len(form) > 3 and form.endswith("e"):
                found[form[:-1]].add((word.rule, word.locale, True))
        self._automaton: Any = ahocorasick.Automaton()
        for form, readings in found.items():
            self._automaton.add_word(form, (len(form), tuple(readings)))
        self._empty = not found
        self._longest = max(map(len, found), default=0)
        if found:
            self._automaton.make_automaton()

    def find(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Yields rule, start and end in `text`, which is in folded form."""
        if self._empty:
            return
        for last, (length, readings) in self._automaton.iter(text):
            start, end = last + 1 - length, last + 1
            if not _begins_word(text, start):
                continue
            rest = following_letters(text, end)
            for rule, locale, shortened in readings:
                if (to := _end(text, end, rest, locale, shortened=shortened)) is not None:
                    yield rule, start, to

    def reach(self, text: str) -> int:
        """Where in `text`, which is in folded form, a listed word may begin that is not finished at its end: what is
        before that is too far away.
        """
        return max(0, len(text) - self._longest)

    def may_begin(self, text: str) -> bool:
        """Whether a listed word begins with `text`, or is `text`."""
        return not self._empty and bool(self._automaton.match(text))


def _end(text: str, end: int, rest: str, locale: str, *, shortened: bool) -> int | None:
    """Where the word ends that was found up to `end` and that the letters `rest` follow; None: it is another word."""
    if not shortened and (not rest or is_unspaced(text[end - 1])):
        return end
    endings = ENDINGS.get(locale, frozenset())
    vowel_first = rest[:1] in _VOWELS
    if rest in endings and (vowel_first or not shortened):
        return end + len(rest)
    doubled = not shortened and rest[0] == text[end - 1] and rest[1:2] in _VOWELS and rest[1:] in endings
    return end + len(rest) if doubled else None


def following_letters(text: str, at: int) -> str:
    """The letters and digits from `at` on, at most two more than the longest ending has."""
    end = at
    while end < len(text) and end - at < LONGEST_ENDING + 2 and text[end].isalnum():
        end += 1
    return text[at:end]


def _begins_word(text: str, start: int) -> bool:
    return start == 0 or not text[start - 1].isalnum() or is_unspaced(text[start])


def is_unspaced(character: str) -> bool:
    """Whether words of this character's script are written without blanks around them."""
    code = ord(character)
    return code >= 0x0E00 and any(code in block for block in _UNSPACED)
