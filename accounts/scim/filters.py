"""Filters of lists and of PATCH paths (RFC 7644 §3.4.2.2): comparisons that `and` joins. Pure but for Django's `Q`."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q

from accounts.scim.errors import invalid

_COMPARISON: Final = re.compile(
    r"""\s*(?P<attribute>[\w.$:-]+(?:\[[^\]"]*(?:"[^"]*"[^\]"]*)*\](?:\.\w+)?)?)\s+
    (?:(?P<present>pr)|(?P<operator>eq|co|sw)\s+(?P<value>"(?:[^"\\]|\\.)*"|true|false))(?=\s|$)""",
    re.VERBOSE | re.IGNORECASE,
)
_AND: Final = re.compile(r"\s+and\s+", re.IGNORECASE)
_LOOKUPS: Final = {"eq": "iexact", "co": "icontains", "sw": "istartswith"}
MOST: Final = 5  # comparisons
MOST_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """`attribute` in lower case, without its schema. `operator`: eq, co, sw or pr."""

    attribute: str
    operator: str
    value: str | bool | None

    def matches(self, item: Mapping[str, Any]) -> bool:
        """Whether a complex value, such as one of `emails`, is meant."""
        found = next((value for name, value in item.items() if name.lower() == self.attribute), None)
        if self.operator == "pr":
            return found not in (None, "")
        if isinstance(found, bool) or isinstance(self.value, bool):
            return self.operator == "eq" and found is self.value
        text, wanted = str(found or "").lower(), str(self.value).lower()
        return {"eq": text == wanted, "co": wanted in text, "sw": text.startswith(wanted)}[self.operator]


def parse_filter(text: str) -> list[Comparison]:
    """Raises `ScimError` (`invalidFilter`) for what is not understood, such as `or` and `not`."""
    found: list[Comparison] = []
    if len(text) > MOST_CHARS:
        raise invalid("This filter is too long.", "invalidFilter")
    at = 0
    while True:
        match = _COMPARISON.match(text, at)
        if match is None:
            raise invalid("This filter is not supported: use eq, co, sw and pr, joined by and.", "invalidFilter")
        operator = "pr" if match["present"] else match["operator"].lower()
        value: Any = None if match["present"] else json.loads(_lower_literal(match["value"]), strict=False)
        if isinstance(value, str) and not _is_storable(value):
            raise invalid("This filter has characters that no value here has.", "invalidFilter")
        found.append(Comparison(match["attribute"].rpartition(":")[2].lower(), operator, value))
        at = match.end()
        if not text[at:].strip():
            return found
        joined = _AND.match(text, at)
        if joined is None or len(found) >= MOST:
            raise invalid("This filter is not supported: at most five comparisons, joined by and.", "invalidFilter")
        at = joined.end()


def _lower_literal(text: str) -> str:
    return text if text.startswith('"') else text.lower()


def _is_storable(text: str) -> bool:
    """Without NUL and halves of characters, which PostgreSQL refuses."""
    return not any(one == "\0" or 0xD800 <= ord(one) <= 0xDFFF for one in text)


def to_query(text: str, fields: Mapping[str, str]) -> Q:
    """The rows that a list's filter means. `fields`: columns by attribute in lower case. Raises `ScimError`."""
    query = Q()
    for one in parse_filter(text):
        column = fields.get(one.attribute)
        if column is None:
            known = ", ".join(sorted(fields))
            raise invalid(f"Lists cannot be filtered by {one.attribute[:60]}, but by {known}.", "invalidFilter")
        query &= _compare(one, column, is_user=fields.get("username") is not None)
    return query


def _compare(one: Comparison, column: str, *, is_user: bool) -> Q:
    """The rows that one comparison means. Raises `ScimError`."""
    is_id = column in ("pk", "user__pk")
    if one.operator == "pr":
        present = ~Q(**{f"{column}__isnull": True})
        return present if is_id or column == "is_active" else present & ~Q(**{column: ""})
    if column == "is_active":
        if not isinstance(one.value, bool) or one.operator != "eq":
            raise invalid(f"{one.attribute} can only be compared by: eq true, eq false.", "invalidFilter")
        return Q(is_active=one.value)
    if isinstance(one.value, bool):
        raise invalid(f"{one.attribute} is a text, which stands in quotes.", "invalidFilter")
    if is_id:
        if one.operator != "eq":
            raise invalid(f"{one.attribute} can only be compared by eq.", "invalidFilter")
        return _by_id(column, str(one.value), is_number=column == "pk" and not is_user)
    return Q(**{f"{column}__{_LOOKUPS[one.operator]}": str(one.value)})


def _by_id(column: str, value: str, *, is_number: bool) -> Q:
    """By the id of a group (a number) or of a user (a UUID, in any form); no row for one that cannot be."""
    try:
        found: Any = uuid.UUID(value) if not is_number else int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None
    except ValueError:
        found = None
    return Q(pk__in=[]) if found is None else Q(**{column: found})
