"""Joins a continuation to the answer that it continues, so that no words come twice and no blank is doubled or lost.

Pure. A model that writes on in its own turn (assistant prefill) continues at the last character, and its text goes
after the answer as it is. A model that was asked to go on often repeats the last words, or the last sentence, begins
with an ellipsis or a capital letter, or leaves out the blank before its first word.
"""

from __future__ import annotations

import re
from typing import Final

TAIL: Final = 1_000  # code points of the answer's end in which a repeated beginning is looked for
MARKS: Final = " \t\r\n…."  # blanks and ellipses, before words that are repeated
LETTERS_OF_A_WORD: Final = 3  # of a word that is cut; fewer are often another word's beginning
MARKS_ONLY: Final = 16  # code points of a repetition without letters: shorter ones are ordinary in tables and code
LETTERS_WITHOUT_BLANKS: Final = 3  # of a script that does not separate words
EXACT: Final = 24  # code points that a server must repeat to be taken for one that repeats, where it writes on
EXACT_WORDS: Final = 4

_FENCE: Final = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
# Scripts without blanks between words: Thai, Lao, Myanmar, Khmer, kana, CJK ideographs with their extensions.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def join(before: str, continuation: str, *, exact: bool = False) -> str:
    """`before` with its continuation. It begins with `before`, always."""
    joint = Joint(before)
    return before + joint.feed(continuation, exact=exact) + joint.end()


class Joint:
    """The joint of one continuation, which arrives in pieces. Whatever the pieces, the result is that of `join`."""

    def __init__(self, before: str) -> None:
        body = before.rstrip()
        self._blank = before[len(body) :]  # at the end of the answer
        self._body = body
        self._in_code = len(_FENCE.findall(before)) % 2 == 1
        self._held = ""
        self._exact = False
        self._open = True  # the beginning may still be a repetition
        self._starts: list[int] | None = None  # where in the body a repetition may begin, that the held text still fits

    def feed(self, text: str, *, exact: bool = False) -> str:
        """What goes after the answer now. `exact`: the model writes on in its own turn."""
        if not self._open or not text:
            return text
        self._exact = exact
        self._held += text
        return self._release(final=False)

    def end(self) -> str:
        """What is left when the continuation has ended."""
        return self._release(final=True) if self._open else ""

    def _release(self, *, final: bool) -> str:
        begun = self._held.lstrip(" \t\r\n" if self._exact else MARKS)
        if not begun and not final:
            return ""  # blanks only
        if not begun:
            self._open = False
            return self._spaced(self._held) if self._held.strip() else ""
        repeated, undecided = self._find_repeated(begun, final=final)
        # The blank after repeated words belongs to them: it is needed to know how the text goes on.
        rest = begun[repeated:]
        if not final and (undecided or (repeated and not rest.strip())):
            return ""
        self._open = False
        if repeated:
            return _blank_between(self._blank, rest) if rest.strip() else ""
        return self._spaced(self._held)

    def _find_repeated(self, begun: str, *, final: bool) -> tuple[int, bool]:
        """How many code points of `begun` repeat the end of the answer, and whether more text could make it more."""
        body = self._body
        if self._starts is None:
            self._starts = [at for at in _places(body) if _same(body[at], begun[0])]
        fitting, whole = [], 0
        undecided = False
        for at in self._starts:
            length = len(body) - at
            shared = min(length, len(begun))
            if body[at + 1 : at + shared] != begun[1:shared]:
                continue
            fitting.append(at)
            if length > len(begun) or (length == len(begun) and not final):
                undecided = True
            elif self._is_repetition(body[at:], begun[length : length + 1]):
                whole = max(whole, length)
        self._starts = fitting
        return whole, undecided

    def _is_repetition(self, words: str, following: str) -> bool:
        """Whether these words, which end the answer and begin its continuation, are there twice by mistake."""
        if self._exact:
            return len(words) >= EXACT and len(words.split()) >= EXACT_WORDS
        letters = sum(map(str.isalpha, words))
        if not letters:
            return len(words) >= MARKS_ONLY
        if _UNSPACED.search(words):
            return letters >= LETTERS_WITHOUT_BLANKS
        cut = following != "" and not self._blank and _in_word(words[-1]) and _in_word(following)
        if self._blank and following and _in_word(following):
            return False  # the answer's last word is whole, and this is another one
        return not cut or letters >= LETTERS_OF_A_WORD or len(words.split()) > 1

    def _spaced(self, text: str) -> str:
        """A continuation that repeats nothing, with the blank that belongs before it."""
        if self._exact:
            return _blank_between(self._blank, text)
        begun = text.lstrip()
        stripped = begun.lstrip("….") if begun.startswith(("…", "...")) else ""
        if stripped.strip() and not self._in_code:
            text = text[: len(text) - len(begun)] + stripped
        if self._blank or text[:1].isspace() or not self._body:
            return _blank_between(self._blank, text)
        return " " + text if self._needs_blank(self._body[-1], text[0]) else text

    def _needs_blank(self, last: str, first: str) -> bool:
        if _UNSPACED.match(last) or _UNSPACED.match(first):
            return False
        if _in_word(last):
            return _in_word(first)
        return last in ",.;:!?)]" and first.isalpha() and not self._in_code


def _places(body: str) -> list[int]:
    """Where a repetition may begin in the answer: at the beginnings of its last words, and at its own beginning."""
    first = max(0, len(body) - TAIL)
    found = [
        at
        for at in range(first, len(body))
        if not body[at].isspace()
        and (at == 0 or not (_in_word(body[at - 1]) and _in_word(body[at])) or _UNSPACED.match(body[at]))
    ]
    return [0, *found] if first and body else found


def _same(one: str, other: str) -> bool:
    """The same letter, but for its case."""
    return one == other or one.casefold() == other.casefold()


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "_'’"


def _blank_between(blank: str, text: str) -> str:
    """`text`, to go after a `blank`, without what it has of the same blank. A longer one replaces it.

    An indentation after a line's end is no doubled blank.
    """
    begun = text.lstrip()
    own = text[: len(text) - len(begun)]
    if not blank or not own:
        return text
    if own.startswith(blank):
        return text[len(blank) :]
    if "\n" in blank and "\n" not in own:
        return text
    if "\n" in own and "\n" not in blank:
        return text
    lines = max(0, own.count("\n") - blank.count("\n"))
    return "\n" * lines + own.rpartition("\n")[2] * ("\n" in own) + begun
