"""Finds spaced ("f u c k"), stretched ("fuuuck"), digit-spelled ("5hit") and starred ("f*ck") forms of a few words.

Only for words that are severe enough to accept a wrong hit now and then. One regular expression of RE2 for each word;
a set of all of them tells in one pass which occur at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final

from chat.moderation.matching.forms import Table
from chat.moderation.matching.linear import expression, expressions, quoted
from chat.moderation.matching.words import MOST_CHARACTERS, PART, Word, begins_word, parts_of

MOST_WORDS: Final = 300
_ALIKE: Final = {
    "a": "a4@", "b": "b8", "e": "e3", "g": "g9", "i": "i1!|", "l": "l1|", "o": "o0", "s": "s5$", "t": "t7+", "u": "uv",
    "c": "ck", "z": "z2",
}  # fmt: skip
_SYMBOLS: Final = "".join(sorted({each for alike in _ALIKE.values() for each in alike if not each.isalnum()} | {"*"}))
_EDGE: Final = f"[ {quoted(_SYMBOLS)}]"
_BETWEEN: Final = f"{_EDGE}{{1,3}}"
_ENDING: Final = "(?:s|es|ed|er|ers|ing|in|y)?"


def _simple(character: str) -> str:
    """Blanks for all but letters, digits and the symbols that stand for letters; the text keeps its length."""
    return character if character.isalnum() or character in _SYMBOLS else " "


_SIMPLE: Final = Table(_simple)


def _canonical() -> dict[int, str]:
    """Letters and symbols that may stand for each other, each as one of them: "l", "1" and "|" as "i"."""
    made: dict[str, str] = {}
    for letter, alike in _ALIKE.items():
        known = next((made[each] for each in alike if each in made), letter)
        made.update(dict.fromkeys(alike, known))
    return str.maketrans(made)


_CANONICAL: Final = _canonical()


def _of_ascii(replacement: Callable[[str], str]) -> bytes:
    """What `bytes.translate` takes: the same as a replacement of characters, without looking up each."""
    return bytes(ord(replacement(chr(code))) for code in range(128)) + bytes(range(128, 256))


def _letter(character: str) -> str:
    """As in a skeleton; a blank for what is in none."""
    made = character.translate(_CANONICAL)
    return made if made.isalnum() or made == "*" else " "


_LETTERS: Final = Table(_letter)
_ASCII_SIMPLE: Final = _of_ascii(_simple)
_ASCII_LETTERS: Final = _of_ascii(_letter)


def _skeleton(text: str) -> str:
    """Letters only, the first of those that look alike, each run of one letter as one letter; "*" stands for any."""
    letters = (each for each in text.translate(_CANONICAL) if each.isalnum() or each == "*")
    return "".join(letter for letter, _ in groupby(letters))


class DisguisedIndex:
    """Raises `ValueError` for too many words and as `Word.form` does."""

    def __init__(self, words: Iterable[Word]) -> None:
        listed = list(words)
        if len(listed) > MOST_WORDS:
            raise ValueError(f"at most {MOST_WORDS} words of all rules together are searched for in disguise")
        self._rules = [word.rule for word in listed]
        self._letters = [sum(map(str.isalpha, word.form())) for word in listed]
        patterns = [_pattern(word.form()) for word in listed]
        self._patterns = [expression(pattern) for pattern in patterns]
        self._set = expressions(patterns)
        skeletons = {_skeleton(word.form()) for word in listed}
        self._beginnings = {each[:many] for each in skeletons for many in range(1, len(each) + 1)}
        self._longest = max(map(len, skeletons), default=0)
        self._of_length: dict[int, list[str]] = {}
        for each in self._beginnings:
            self._of_length.setdefault(len(each), []).append(each)
        self._parts = parts_of(skeletons)

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Rule, start and end in `text`, which is in folded form, of each word that is found."""
        if not self._rules:
            return []
        raw = text.encode().translate(_ASCII_SIMPLE) if text.isascii() else text.translate(_SIMPLE).encode()
        if not (numbers := self._set.Match(raw)):
            return []
        simple, found = raw.decode(), []
        for number in numbers:
            at = 0
            while match := self._patterns[number].search(simple, at):
                start, end = match.span(1)
                if _is_readable(simple[start:end], self._letters[number]):
                    found.append((self._rules[number], start, end))
                at = end
        return found

    def unfinished_from(self, text: str) -> int:
        """Where in `text`, which is in folded form, the first word begins that may be disguised and is not finished at
        its end, or could be longer: its length if there is none.
        """
        first = at = len(text)
        if not self._beginnings:
            return first
        tail = text[-MOST_CHARACTERS:]
        letters = tail.encode().translate(_ASCII_LETTERS).decode() if tail.isascii() else tail.translate(_LETTERS)
        skeleton = before = ""
        for letter in reversed(letters):
            at -= 1
            if letter == " ":
                continue
            if letter != before:
                before, skeleton = letter, letter + skeleton
                part = skeleton[:PART]
                if len(skeleton) > self._longest or (part not in self._parts and "*" not in part):
                    break
            if self._is_beginning(skeleton) and begins_word(text, at):
                first = at
        return first

    def _is_beginning(self, skeleton: str) -> bool:
        if "*" not in skeleton:
            return skeleton in self._beginnings
        if skeleton.partition("*")[0] not in self._beginnings:  # also of one that begins with a star
            return False
        return any(_same(skeleton, each) for each in self._of_length.get(len(skeleton), ()))


def _is_readable(written: str, letters: int) -> bool:
    """Whether readers see the word: one letter at least, and half of it neither digits nor "*". "A55" is a road."""
    return any(map(str.isalpha, written)) and 2 * sum(map(_is_sign, written)) >= letters


def _is_sign(character: str) -> bool:
    return character.isalpha() or (character in _SYMBOLS and character != "*")


def _same(starred: str, beginning: str) -> bool:
    return len(starred) == len(beginning) and all(a in {b, "*"} for a, b in zip(starred, beginning, strict=True))


def _pattern(form: str) -> str:
    """The beginning of a word, the word in group 1, the end of a word: in a text that `_simple` has been applied to."""
    characters = [character for character in form if not character.isspace()]
    classes = [_class(character, inner=at > 0) for at, character in enumerate(characters)]
    together = "".join(f"{each}+" for each in classes)
    spaced = _BETWEEN.join(f"{each}+" for each in classes)
    return f"(?:^|{_EDGE})({together}{_ENDING}|{spaced})(?:$|{_EDGE})"


def _class(character: str, *, inner: bool) -> str:
    alike = _ALIKE.get(character, character) + ("*" if inner else "")
    return "[" + "".join(quoted(each) for each in alike) + "]"
