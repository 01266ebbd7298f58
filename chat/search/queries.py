"""What a person types, read as words and written as queries of PostgreSQL's full text search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chat.search.folding import Word, pairs_of, words_of

MAX_QUERY_CHARS: Final = 1_000
MAX_WORDS: Final = 12  # of a query; more narrow nothing down
FEWEST_PREFIX: Final = 2  # letters from which a word stands for all that begin with it
FEWEST_TYPO: Final = 4  # letters of a word that is searched with a typing error
MAX_TYPO: Final = 16  # and the most
MAX_TYPO_KEYS: Final = 8  # homes for which typing errors are searched: each costs some hundred look-ups
MAX_TERMS: Final = 10_000  # of a query, behind all keys; PostgreSQL refuses one of more than 1 MB
_LETTERS: Final = {
    "latin": "abcdefghijklmnopqrstuvwxyz",
    "greek": "".join(map(chr, range(0x3B1, 0x3CA))),
    "cyrillic": "".join(map(chr, range(0x430, 0x450))),
}


@dataclass(frozen=True, slots=True)
class Query:
    """The words that each have to occur in a text. The last one is perhaps still being typed."""

    words: Sequence[Word]

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def is_broad(self) -> bool:
        """Whether it is a single letter, which nearly every message has."""
        return len(self.words) == 1 and len(self.words[0].text) < FEWEST_PREFIX and not self.words[0].unspaced

    def condition(self, keys: Iterable[str] = ("",)) -> str:
        """The text of a `tsquery`: every word, or one that begins with it, behind any of the keys.

        With very many keys it has only the first words, and of a long run the first pairs.
        """
        keys = list(keys)
        in_order = sorted(self.words, key=lambda word: word.unspaced)
        needed = [terms for word in in_order for terms in _terms(word)]
        return " & ".join(_any(terms, keys) for terms in needed[: max(1, MAX_TERMS // max(1, len(keys)))])

    def similar(self, keys: Iterable[str] = ("",)) -> str:
        """The same, and each word with one typing error; empty if no word is long enough for one.

        The more terms there are, the fewer keys it has: the first ones.
        """
        if not any(_may_have_typo(word) for word in self.words):
            return ""
        needed: list[list[str]] = []
        for word in self.words:
            needed += [[*_terms(word)[0], *variants_of(word.text)]] if _may_have_typo(word) else _terms(word)
        some = list(keys)[: max(1, MAX_TERMS // sum(map(len, needed)))]
        return " & ".join(_any(terms, some) for terms in needed)


def read_query(text: str) -> Query:
    """Reads anything, of any length; nothing in it has a meaning but its letters and digits."""
    text = text.replace("\x00", " ")[:MAX_QUERY_CHARS]
    text = text.encode("utf-8", "ignore").decode()  # half characters
    return Query(words_of(text)[:MAX_WORDS])


def _terms(word: Word) -> list[list[str]]:
    """Alternatives that must each be met: one list of terms a condition."""
    if word.unspaced:
        return [[f"'{word.text}':*"]] if len(word.text) == 1 else [[f"'{pair}'"] for pair in pairs_of(word.text)]
    return [[f"'{word.text}':*" if len(word.text) >= FEWEST_PREFIX else f"'{word.text}'"]]


def _any(terms: Sequence[str], keys: Sequence[str]) -> str:
    """One of the terms behind one of the keys. A word has no quote and no backslash: both separate words."""
    return "(" + " | ".join(f"'{key}{term[1:]}" for key in keys for term in terms) + ")"


def _may_have_typo(word: Word) -> bool:
    return not word.unspaced and FEWEST_TYPO <= len(word.text) <= MAX_TYPO and not word.text.isdecimal()


def variants_of(word: str) -> list[str]:
    """The terms one typing error away: a letter too many, missing, other or swapped with the next (Damerau).

    The first letter is nearly always right; only swaps change it. They also stand for longer words, which may still be
    being typed; the others do not, because hundreds of prefixes take too long.
    """
    letters = next((all_ for all_ in _LETTERS.values() if word[0] in all_), "")
    same: dict[str, None] = {}
    others: dict[str, None] = {}
    for at in range(len(word)):
        before, after = word[:at], word[at + 1 :]
        if at:
            others[before + after] = None
            for letter in letters:
                others[before + letter + after] = None
        if after:
            same[before + after[0] + word[at] + after[1:]] = None
    for at in range(1, len(word) + 1):
        for letter in letters:
            others[word[:at] + letter + word[at:]] = None
    same.pop(word, None)
    others.pop(word, None)
    prefix = ":*" if len(word) > FEWEST_TYPO else ""
    return [*(f"'{one}'{prefix}" for one in same), *(f"'{one}'" for one in others)]
