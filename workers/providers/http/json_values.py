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
HUGE: Final = 10**18
DIGITS: Final = 40  # of a number; a longer one is no count of anything
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SENTINEL: Final = re.compile(r"\[[\w :.-]{0,40}\]")  # such as [PING]: a word in brackets, and no JSON


def load_json(text: str) -> object:
    """The value, or `NO_JSON`."""
    try:
        return json.loads(text, parse_int=_read_integer)
    except (ValueError, RecursionError):
        return NO_JSON


def _read_integer(digits: str) -> int | float:
    """An integer; one with more digits counts as infinite."""
    return int(digits) if len(digits) <= DIGITS else math.inf


def split_body(body: bytes) -> list[bytes]:
    """The events in a body that is no event stream: one object, an array of them, or one on each line."""
    value = load_json(body.decode(errors="replace"))
    if isinstance(value, list) and len(value) > 1 and all(isinstance(one, dict) for one in value):
        return [json.dumps(one).encode() for one in value]
    lines = [line for line in map(bytes.strip, body.split(b"\n")) if line]
    if value is NO_JSON and len(lines) > 1 and all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
        return lines
    return [body]


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
        if words[0] in '{["' and not _SENTINEL.fullmatch(words):
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


def read_thought(value: object) -> str | None:
    """Reasoning as a text, or as objects that have one; encrypted reasoning has none."""
    if isinstance(value, list):
        return "".join(read_thought(one) or "" for one in value) or None
    if isinstance(value, dict):
        return next(
            (text for key in ("text", "summary", "thinking", "content") if (text := read_text(value.get(key)))), None
        )
    return read_text(value)


def read_object(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def read_objects(value: object) -> list[dict[str, Any]]:
    """The objects in `value`, if it is a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def read_number(value: object) -> int | None:
    """A count of tokens that may be written as `7`, `7.0` or `"7"`; None for anything else.

    An infinite one is `HUGE`, so that it is seen to be implausible.
    """
    if isinstance(value, str) and len(value) <= DIGITS:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return int(value)
    except ValueError:  # not a number
        return None
    except OverflowError:
        return HUGE if value > 0 else -HUGE


def read_cost(value: object) -> Decimal | None:
    """What an answer cost in USD, as a router reports it, to nine places; None for what no cost can be."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        cost = Decimal(str(value))
    except InvalidOperation:
        return None
    return round(cost, 9) if cost.is_finite() and 0 <= cost <= MAX_COST else None
