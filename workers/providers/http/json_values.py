"""Reads JSON as servers write it: values of another type are left out, and numbers may be written in several ways."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from workers.providers.base import ProviderError
from workers.providers.http.sse import GARBAGE

Report = Callable[[str, object], None]
"""Called with the kind of something unexpected, and the event or the field it was found in."""

NO_JSON: Final = object()
MAX_COST: Final = 1_000_000  # of one answer, in USD; more is not plausible
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def load_json(text: str) -> object:
    """The value, or `NO_JSON`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NO_JSON


def load_event(data: bytes, report: Report) -> dict[str, Any] | None:
    """The object in the data of an event; None for a keep-alive or something else, which is reported.

    Raises `ProviderError` for JSON that is broken: part of the answer would be missing.
    """
    value: object = NO_JSON
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = msgspec.json.decode(data)
    if isinstance(value, dict):
        return value
    # Bytes that are not UTF-8, and escaped lone surrogates such as \ud83d: the rest of the text is usable.
    words = data.decode(errors="replace").strip()
    if words in ("", "null"):
        return None  # a keep-alive
    value = load_json(words)
    if value is NO_JSON:
        # Raised outside of a handler, because the decoder's exception holds the text.
        if words[0] in '{["':
            raise garbage(f"{len(data)} bytes that are not JSON")
        report("no_json", data)
        return None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]  # an error in an array, as Gemini sends it
    if not isinstance(value, dict):
        report("no_object", value)
        return None
    return value


def garbage(detail: str) -> ProviderError:
    return ProviderError("upstream_garbage", GARBAGE, detail=detail)


def mend(text: str) -> str:
    """`text` with pairs of surrogates joined, and lone ones and NULs replaced by U+FFFD."""
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "\ufffd")


def mend_all(value: Any) -> Any:
    """A JSON value that every database and encoder takes: its texts mended, and without numbers that are not finite."""
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, dict):
        return {mend(key): mend_all(one) for key, one in value.items()}
    if isinstance(value, list):
        return [mend_all(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def read_object(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def read_objects(value: object) -> list[dict[str, Any]]:
    """The objects in `value`, if it is a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def read_number(value: object) -> int | None:
    """A count of tokens that may be written as `7`, `7.0` or `"7"`; None for anything else."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):  # not a number, or infinite
        return None


def read_cost(value: object) -> Decimal | None:
    """What an answer cost in USD, as a router reports it, to nine places; None for what no cost can be."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        cost = Decimal(str(value))
    except InvalidOperation:
        return None
    return round(cost, 9) if cost.is_finite() and 0 <= cost <= MAX_COST else None
