"""Reads what a chat model says as a judge. Pure. What cannot be read raises `ValueError`: it is no verdict."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from chat.models.moderation import Category
from workers.moderation.base import category_of, highest

# The hazards of MLCommons, as Llama Guard 3 and 4 and what is trained like them name them.
HAZARDS: Final[dict[str, Category]] = {
    "S1": Category.VIOLENCE,  # violent crimes
    "S2": Category.ILLICIT,  # non-violent crimes
    "S3": Category.SEXUAL,  # sex-related crimes
    "S4": Category.MINORS,  # child sexual exploitation
    "S5": Category.HARASSMENT,  # defamation
    "S6": Category.OTHER,  # specialised advice
    "S7": Category.PERSONAL,  # privacy
    "S8": Category.OTHER,  # intellectual property
    "S9": Category.ILLICIT,  # indiscriminate weapons
    "S10": Category.HATE,
    "S11": Category.SELF_HARM,  # suicide and self-harm
    "S12": Category.SEXUAL,  # sexual content
    "S13": Category.OTHER,  # elections
    "S14": Category.ILLICIT,  # code interpreter abuse
}
MOST_OBJECTS: Final = 20  # beginnings of a JSON object that are tried
FLAGGED: Final = 0.5  # a score from which on a judge means yes
SCORES: Final = ("scores", "category_scores", "categories")
VERDICT: Final = ("flagged", "unsafe", "violation")
_FIRST: Final = re.compile(r"\W*(unsafe|safe)\b", re.IGNORECASE)
_UNSAFE: Final = re.compile(r"\bunsafe\b", re.IGNORECASE)
_HAZARD: Final = re.compile(r"\bS ?(\d{1,2})\b", re.IGNORECASE)


def read_guard(said: str) -> dict[Category, float]:
    """`safe`, or `unsafe` and the codes of hazards, as Llama Guard says it. Without a known code it is `other`.

    `safe` counts as the first word only: in a sentence it may be "not safe".
    """
    found = _FIRST.match(said) or _UNSAFE.search(said)
    if found is None:
        raise ValueError("neither safe nor unsafe")
    if not found[0].lower().endswith("unsafe"):
        return {}
    codes = {f"S{int(code)}" for code in _HAZARD.findall(said[found.end() :])}
    return dict.fromkeys((HAZARDS.get(code, Category.OTHER) for code in sorted(codes)), 1.0) or {Category.OTHER: 1.0}


def read_json(said: str) -> dict[Category, float]:
    """The scores in the first object of `said` that has some, wherever it is; else `safe` or `unsafe` as above."""
    decoder = json.JSONDecoder()
    for number, found in enumerate(re.finditer(r"\{", said)):
        if number >= MOST_OBJECTS:
            break
        try:
            value, _end = decoder.raw_decode(said, found.start())
            return _read_object(value)
        except (ValueError, RecursionError):
            continue
    return read_guard(said)


def _read_object(value: Mapping[str, Any]) -> dict[Category, float]:
    given = {str(name).casefold(): one for name, one in value.items()}
    verdict = next((given[name] for name in VERDICT if isinstance(given.get(name), bool)), None)
    named = next((given[name] for name in SCORES if isinstance(given.get(name), dict | list)), None)
    if named is None:
        named = {name: one for name, one in given.items() if name in Category.values}
    scores = _read_named(named)
    if scores is None:
        if verdict is None:
            raise ValueError("no scores")
        scores = {}
    if verdict and max(scores.values(), default=0.0) < FLAGGED:
        scores = highest(scores, {Category.OTHER: 1.0})
    return scores


def _read_named(named: Mapping[str, Any] | list[Any]) -> dict[Category, float] | None:
    """Scores by category. None: nothing in there is a score."""
    if isinstance(named, list):
        if not all(isinstance(name, str) for name in named):
            raise ValueError("no names")
        return {_named_category(name): 1.0 for name in named}
    read = {name: _score(one) for name, one in named.items()}
    scores = highest(*({_named_category(str(name)): one} for name, one in read.items() if one is not None))
    return scores or None


def _named_category(name: str) -> Category:
    return HAZARDS.get(name.strip().upper()) or category_of(name)


def _score(value: Any) -> float | None:
    """A score from 0 to 1; None if `value` is none. More than 1 counts as 1: whatever its scale, it is a yes."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return min(1.0, float(value))
