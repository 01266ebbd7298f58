"""What a text may contain to be parsed: limits that keep the cost of parsing linear, checked before it is spent.

Each limit stands for a cost that was measured: a bracket opens a search for its partner at up to 40 levels, every line
asks each block rule, and the search for addresses is quadratic in the length of a word. Ordinary answers are far below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from markdown_it.token import Token

MAX_RICH_CHARS: Final = 200_000  # of a whole text
MAX_LINES: Final = 20_000
MAX_NESTING: Final = 40  # levels of blocks; the parser drops deeper ones
MAX_BRACKETS: Final = 5_000  # opening square brackets outside of code blocks
MAX_MARKS: Final = 40_000  # * _ ~ ` < & and backslashes outside of code blocks
MAX_ADDRESS_WORK: Final = 20_000_000  # sum of the squared lengths of words that may contain an address

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_MARKS: Final = re.compile(r"[*_~`<&\\]")


class TooCostlyError(Exception):
    """A text is shown without formatting. The argument names the limit, for the log."""


def check_text(text: str) -> None:
    """Raises `TooCostlyError` if a text is too long to be parsed."""
    if len(text) > MAX_RICH_CHARS:
        raise TooCostlyError("characters")
    if len(_LINE_END.findall(text)) > MAX_LINES:
        raise TooCostlyError("lines")


def check_blocks(tokens: Sequence[Token]) -> None:
    """Raises `TooCostlyError` if the blocks of a text are nested too deep, or if the text in them, which is not parsed
    yet, would cost too much.
    """
    brackets = marks = address_work = 0
    for token in tokens:
        if token.level >= MAX_NESTING - 1:
            raise TooCostlyError("nesting")
        if token.type != "inline":
            continue
        brackets += token.content.count("[")
        marks += len(_MARKS.findall(token.content))
        address_work += sum(len(word) ** 2 for word in token.content.split() if _may_be_address(word))
    if brackets > MAX_BRACKETS:
        raise TooCostlyError("brackets")
    if marks > MAX_MARKS:
        raise TooCostlyError("marks")
    if address_work > MAX_ADDRESS_WORK:
        raise TooCostlyError("addresses")


def _may_be_address(word: str) -> bool:
    return "//" in word or "mailto:" in word.lower()
