"""Searches texts that may be JSON, as tools are given and return them. Pure.

Whoever shows or reads JSON sees its strings without their escapes, so each of them is searched, and each name and
number; then the text as a whole, for what a rule finds across them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chat.moderation.matching.matcher import Action, Hit, masked

LEAST_DIGITS: Final = 5  # of a number that may be personal data

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
