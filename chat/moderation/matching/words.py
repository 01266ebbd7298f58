"""Finds listed words with their inflections, as whole words, in the folded form of a text (Aho-Corasick)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
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
PART: Final = 4  # characters of a part of a word by which most of a text is known to be no part of any
LONGEST_ENDING: Final = max(len(ending) for endings in ENDINGS.values() for ending in endings)
LONGEST_REST: Final = LONGEST_ENDING + 1  # with a doubled letter
_VOWELS: Final = frozenset("aeiouy")
# The beginnings of these endings: of all, and of those that begin with a vowel (also the empty one).
_BEGINNINGS: Final = {
    locale: (
        frozenset(ending[:many] for ending in endings for many in range(1, len(ending) + 1)),
        frozenset(ending[:many] for ending in endings if ending[0] in _VOWELS for many in range(len(ending) + 1)),
    )
    for locale, endings in ENDINGS.items()
}
_NO_BEGINNINGS: Final = (frozenset[str](), frozenset[str]())
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
        self._parts = parts_of(found)
        self._is_inflected = any(locale in ENDINGS for readings in found.values() for _, locale, _ in readings)

    def find(self, text: str, after: int = 0) -> list[tuple[int, int, int]]:
        """Rule, start and end in `text`, which is in folded form, of all words that end after `after`, and perhaps of
        more.
        """
        found: list[tuple[int, int, int]] = []
        if self._empty:
            return found
        first = max(0, after - self._longest - LONGEST_ENDING - 2)
        for last, (length, readings) in self._automaton.iter(text, first):
            start, end = last + 1 - length, last + 1
            if not begins_word(text, start):
                continue
            rest = following_letters(text, end)
            for rule, locale, shortened in readings:
                if (to := _end(text, end, rest, locale, shortened=shortened)) is not None:
                    found.append((rule, start, to))
        return found

    def unfinished_from(self, text: str) -> int:
        """Where in `text`, which is in folded form, the first listed word begins that is not finished at its end, or
        could have another ending: its length if there is none.
        """
        first = length = len(text)
        for at in range(length - 1, max(0, length - self._longest) - 1, -1):
            if text[at : at + PART] not in self._parts:
                break
            if self._automaton.match(text[at:]) and begins_word(text, at):
                first = at
        return min(first, self._inflected_from(text)) if self._is_inflected and text[-1:].isalnum() else first

    def _inflected_from(self, text: str) -> int:
        """Likewise, of words with the beginning of an ending."""
        first = length = len(text)
        for last, (letters, readings) in self._automaton.iter(text, max(0, length - self._longest - LONGEST_REST)):
            start, end = last + 1 - letters, last + 1
            rest = text[end:]
            if start < first and 0 < len(rest) <= LONGEST_REST and begins_word(text, start):
                before = text[end - 1]
                if any(_may_end(before, rest, locale, shortened=shortened) for _, locale, shortened in readings):
                    first = start
        return first


def parts_of(forms: Iterable[str]) -> frozenset[str]:
    """All that is in one of `forms` and has at most `PART` characters."""
    return frozenset(form[at : at + many] for form in forms for at in range(len(form)) for many in range(1, PART + 1))


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


def _may_end(before: str, rest: str, locale: str, *, shortened: bool) -> bool:
    """Whether `rest` is the beginning of an ending that a word may have whose last letter is `before`."""
    anything, vowel_first = _BEGINNINGS.get(locale, _NO_BEGINNINGS)
    if shortened:
        return rest in vowel_first
    return rest in anything or (rest[0] == before and rest[1:] in vowel_first)


def following_letters(text: str, at: int) -> str:
    """The letters and digits from `at` on, at most two more than the longest ending has."""
    end = at
    while end < len(text) and end - at < LONGEST_ENDING + 2 and text[end].isalnum():
        end += 1
    return text[at:end]


def begins_word(text: str, start: int) -> bool:
    """Whether a word, or a symbol, that is at `start` is the beginning of a word."""
    return start == 0 or not text[start - 1].isalnum() or is_unspaced(text[start])


def is_unspaced(character: str) -> bool:
    """Whether words of this character's script are written without blanks around them."""
    code = ord(character)
    return code >= 0x0E00 and any(code in block for block in _UNSPACED)
