"""What a server offers, made safe to store: names that models can call, bounded texts, schemas that are valid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workers.tools.servers.schemas import BadSchemaError, tidy_schema

MAX_TOOLS: Final = 200  # of a server
MAX_NOTES: Final = 40
MAX_NAME_CHARS: Final = 64
MAX_UPSTREAM_CHARS: Final = 500
MAX_TITLE_CHARS: Final = 100
MAX_DESCRIPTION_CHARS: Final = 4000
_ODD: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_CONTROL: Final = re.compile(  # and what nobody sees: zero-width, direction, tags
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool as a server lists it. `reads`: the server says that it only reads. `recipe`: how it is called."""

    name: str
    title: str
    description: str
    schema: Any
    reads: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool that can be stored. `upstream` is its name in the server's words."""

    upstream: str
    name: str
    title: str
    description: str
    parameters: Mapping[str, Any]
    reads: bool
    recipe: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server offers. `notes` are sentences for staff. `etag` is of an OpenAPI document, `address` where its
    paths begin. `unchanged`: it offers what it did before, and nothing else is filled.
    """

    tools: Sequence[Listed]
    notes: Sequence[str] = ()
    prompts: Sequence[Mapping[str, Any]] = ()
    protocol: str = ""
    version: str = ""
    address: str = ""
    etag: str = ""
    unchanged: bool = False


def tidy(offered: Iterable[Offered], known: Mapping[str, str]) -> tuple[list[Listed], list[str]]:
    """The tools that can be used, and notes about the others.

    `known` has the names of tools by their upstream names: a tool keeps its name, whatever comes beside it.
    """
    found: list[Listed] = []
    notes: list[str] = []
    seen: set[str] = set()
    taken = set(known.values())
    for one in offered:
        called = shorten(one.name, 60)
        if len(found) >= MAX_TOOLS:
            notes.append(f"It lists more than {MAX_TOOLS} tools: the others were skipped.")
            break
        if not one.name or len(one.name) > MAX_UPSTREAM_CHARS or _CONTROL.search(one.name):
            notes.append(f"A tool was skipped: its name is empty, too long or has control characters ({called!r}).")
            continue
        if one.name in seen:
            notes.append(f"{called} is listed twice: the second was skipped.")
            continue
        seen.add(one.name)
        try:
            parameters = tidy_schema(one.schema)
        except BadSchemaError as error:
            notes.append(f"{called} was skipped: {error}.")
            continue
        except RecursionError:
            notes.append(f"{called} was skipped: its schema is nested too deeply.")
            continue
        name = known.get(one.name) or _choose_name(one.name, taken)
        taken.add(name)
        if len(one.description) > MAX_DESCRIPTION_CHARS:
            notes.append(f"The description of {called} was cut after {MAX_DESCRIPTION_CHARS} characters.")
        title, description = clean(one.title, MAX_TITLE_CHARS), clean(one.description, MAX_DESCRIPTION_CHARS)
        found.append(Listed(one.name, name, title or name, description, parameters, one.reads, dict(one.recipe)))
    return found, notes[:MAX_NOTES]


def clean(text: Any, limit: int) -> str:
    """A text without control characters and characters that nobody sees, at most `limit` long."""
    return _CONTROL.sub("", text).strip()[:limit] if isinstance(text, str) else ""


def shorten(text: str, limit: int) -> str:
    """A text on one line, for a note or a sentence."""
    flat = " ".join(_CONTROL.sub("", text).split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"


def _choose_name(upstream: str, taken: set[str]) -> str:
    """A name that models can call, of at most 64 characters, and that no other tool of the server has."""
    plain = _ODD.sub("_", upstream).strip("_")[:MAX_NAME_CHARS] or "tool"
    name, number = plain, 2
    while name in taken:
        suffix = f"_{number}"
        name, number = plain[: MAX_NAME_CHARS - len(suffix)] + suffix, number + 1
    return name
