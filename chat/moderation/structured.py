"""Searches texts that may be JSON, as tools are given and return them. Pure.

Whoever shows or reads JSON sees its strings without their escapes, so each of them is searched, and each name and
number; then the text as a whole, for what a rule finds across them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chat.moderation.matching.matcher import Action, Hit, masked

LEAST_DIGITS: Final = 5  # of a number that may be personal data
_ESCAPE: Final = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))')
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

Find = Callable[[str], Sequence[Hit]]
"""The hits in a text, of the rules that count for it."""


@dataclass(frozen=True, slots=True)
class Searched:
    """`original`: the text, of JSON without needless escapes. `masked`: without what rules that mask have found; it is
    `text` itself if that is nothing. The places of `hits` are those of `original`; a hit without a length was only
    found in a string without its escapes.
    """

    text: str
    original: str
    masked: str
    hits: tuple[Hit, ...]


def search_text(find: Find, text: str) -> Searched:
    """A text that is no JSON."""
    hits = tuple(find(text))
    return Searched(text, text, masked(text, _masking(hits)), hits)


def search_json(find: Find, text: str) -> Searched:
    """A text that is perhaps JSON. What is masked in a number makes it a string."""
    walk = _Walk(find)
    try:
        value = json.loads(text)
        clean = walk.mask(value)
        original = json.dumps(value, ensure_ascii=False)
        shown = json.dumps(clean, ensure_ascii=False) if clean != value else original
    except (ValueError, RecursionError):
        return search_text(find, text)
    whole = tuple(find(original))
    found = {hit.rule for hit in whole}
    hits = (*whole, *(Hit(0, 0, hit.rule, hit.action, hit.label) for hit in walk.hits if hit.rule not in found))
    shown = masked(shown, _masking(find(shown)))
    return Searched(text, original, text if shown == original else shown, hits)


def search_answer(find: Find, text: str) -> Searched:
    """An answer that was to be JSON. Where it was cut, or is none, nothing is left of it if rules that mask find more
    without its escapes than with them: their places in it are not known.
    """
    searched = search_json(find, text)
    if "\\" not in text or searched.original != text or _is_json(text):
        return searched
    hidden = [hit for hit in find(_unescaped(text)) if hit.action is not Action.FLAG]
    more = Counter(hit.rule for hit in hidden) - Counter(hit.rule for hit in searched.hits)
    if not more:
        return searched
    added = tuple(Hit(0, 0, hit.rule, hit.action, hit.label) for hit in hidden if hit.rule in more)
    return Searched(text, text, masked(text, [Hit(0, len(text), added[0].rule, Action.MASK)]), (*searched.hits, *added))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _unescaped(text: str) -> str:
    """A text with each escape of JSON replaced, where it can be."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), text)


def search_value(find: Find, value: Any) -> tuple[Any, tuple[Hit, ...]]:
    """A JSON value without what rules that mask have found in its strings, and all that was found."""
    walk = _Walk(find)
    return walk.mask(value), tuple(walk.hits)


@dataclass(slots=True)
class _Walk:
    find: Find
    hits: list[Hit] = field(default_factory=list)

    def mask(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask(value)
        if isinstance(value, dict):
            return {self._mask(str(name)): self.mask(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.mask(one) for one in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and len(digits := str(value)) >= LEAST_DIGITS:
            shown = self._mask(digits)
            return value if shown == digits else shown
        return value

    def _mask(self, text: str) -> str:
        hits = self.find(text)
        self.hits += hits
        return masked(text, _masking(hits)) if hits else text


def _masking(hits: Sequence[Hit]) -> list[Hit]:
    return [hit for hit in hits if hit.action is Action.MASK and hit.end > hit.start]
