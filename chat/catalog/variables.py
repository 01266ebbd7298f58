"""The variables in a prompt's text: `{{name}}` and `{{name|default}}`. Pure.

A name begins with a letter or an underscore, and has no punctuation of ASCII but underscores and hyphens. A default is
any text without `{{` and `}}`. Whatever is no variable is text, braces included, so nothing is invalid.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

MAX_NAME: Final = 64
MAX_VARIABLES: Final = 30
SPECIAL: Final = frozenset({"date", "time"})  # without a default the page fills these in by itself
LONG: Final = 80  # characters of a default from which its field has several lines

# Each part is bounded or ends at the next braces, so the time is linear in the text.
_VARIABLE: Final = re.compile(
    r"""
    \{\{ [ \t]{0,8}
    (?P<name> [^\W\d] [^{}|\r\n!-,./:-@\[\\\]^`~]{0,63} )  # MAX_NAME; \w would lack the vowel signs of Indic scripts
    (?: \| (?P<default> (?: (?! \{\{ | \}\} ) . )* ) )?
    \}\}
    """,
    re.DOTALL | re.VERBOSE,
)


class Variable(msgspec.Struct, frozen=True, omit_defaults=True):
    """A variable as the form asks for it, once for each name. `long`: its field has several lines."""

    name: str
    default: str = ""
    long: bool = False


class Use(msgspec.Struct, frozen=True):
    """Where the value of a variable, or of a special one such as `date`, goes."""

    name: str


def parse(text: str) -> Iterator[str | Use]:
    """The text in pieces: plain text, and between it the variables."""
    end = 0
    for match in _VARIABLE.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        yield Use(_name(match))
        end = match.end()
    if end < len(text):
        yield text[end:]


def variables_of(text: str) -> list[Variable]:
    """What the form asks for, in the order of the text. The first default of a name that is not empty counts."""
    defaults: dict[str, str] = {}
    given: set[str] = set()
    for match in _VARIABLE.finditer(text):
        name, default = _name(match), match["default"]
        if default is not None:
            given.add(name)
        defaults[name] = defaults.get(name) or (default or "").strip()
    return [
        Variable(name, default, long="\n" in default or len(default) > LONG)
        for name, default in defaults.items()
        if name not in SPECIAL or name in given
    ]


def fill(pieces: Iterable[str | Use], values: Mapping[str, str]) -> str:
    """The text with the values in place of its variables; a variable without a value is left out.

    Values are inserted as they are: variables in them are not filled in again. The page's script does the same.
    """
    return "".join(piece if isinstance(piece, str) else values.get(piece.name, "") for piece in pieces)


def _name(match: re.Match[str]) -> str:
    """The name without blanks around it. Two ways to write the same letters are one name."""
    return unicodedata.normalize("NFC", " ".join(match["name"].split()))
