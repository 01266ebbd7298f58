"""Errors of model APIs as `ProviderError` (`error_kinds.py` says of which kind).

The endpoint's own text is never shown to users. Secrets are removed before it is logged: some servers echo keys.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import ngettext

from workers.providers.base import ProviderError
from workers.providers.http.error_fields import error_fields, shorten_words, words_of
from workers.providers.http.error_kinds import BUSY, RATE, find_kind
from workers.providers.http.json_values import read_number

DETAIL_CHARS: Final = 300
SHORTEST_KEY: Final = 12  # characters of a secret of which a part is a secret, too
KEY_START: Final = 6
SAID_CHARS: Final = 20_000  # of the endpoint's own words, in which reasons are looked for
MAX_RETRY_AFTER: Final = 86_400.0  # seconds; a longer wait is not plausible, and counts as this one

_RETRY_DELAY: Final = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)s")
REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id", "x-goog-request-id")


def error_from_answer(
    status: int | None, body: object, headers: Mapping[str, str] | None = None, *, secrets: tuple[str, ...] = ()
) -> ProviderError:
    """The error for an HTTP status and its body, or for an error object in a stream (`status` None).

    `body` is the decoded JSON (with or without its outer "error"), or text. `secrets` are removed from the detail.
    """
    fields = error_fields(body)
    headers = headers or {}
    code, words = str(fields.get("code") or ""), str(fields.get("message") or "")
    if code.isdecimal():  # OpenRouter and vLLM put an HTTP status there
        status = status or _status_in(code)
    status = status or _status_in(fields.get("status"))
    said = words_of(body)
    codes = tuple(str(one or "").lower() for one in (code, fields.get("type"), fields.get("status")))
    kind = find_kind(status, codes, shorten_words(words or said).lower())
    retry_after = parse_retry_after(headers)
    if retry_after is None:
        retry_after = _retry_delay(fields)
    detail = f"HTTP {status}" if status else "error in the stream"
    detail = " ".join(part for part in (detail, code, words or (said if body else "")) if part)
    retryable = kind.retryable and headers.get("x-should-retry") != "false"
    return ProviderError(
        kind.code,
        busy(retry_after) if kind is RATE else kind.message,
        retryable=retryable,
        retry_after=retry_after,
        detail=scrub(detail, secrets),
        reason=f"HTTP {status}" if status else "",
        said=scrub(said, secrets, SAID_CHARS),
        request_id=scrub(next((headers[name] for name in REQUEST_IDS if headers.get(name)), ""), secrets, 100),
    )


def _status_in(value: object) -> int | None:
    """A status of HTTP that says what went wrong, in place of a code."""
    number = read_number(value)
    return number if number is not None and 400 <= number < 600 else None


def busy(retry_after: float | None) -> str:
    """A sentence for the user: the model is busy, and when to try again. `retry_after` is in seconds."""
    if retry_after is None:
        return BUSY
    seconds = max(1, math.ceil(retry_after))
    if seconds >= 7200:
        hours = math.ceil(seconds / 3600)
        return ngettext(
            "The model is busy. Try again in %(count)s hour.", "The model is busy. Try again in %(count)s hours.", hours
        ) % {"count": hours}
    if seconds >= 120:
        minutes = math.ceil(seconds / 60)
        return ngettext(
            "The model is busy. Try again in %(count)s minute.",
            "The model is busy. Try again in %(count)s minutes.",
            minutes,
        ) % {"count": minutes}
    return ngettext(
        "The model is busy. Try again in %(count)s second.",
        "The model is busy. Try again in %(count)s seconds.",
        seconds,
    ) % {"count": seconds}


def _retry_delay(fields: Mapping[str, Any]) -> float | None:
    """The seconds of a `google.rpc.RetryInfo` among the details of an error."""
    details = fields.get("details")
    for one in details if isinstance(details, list) else ():
        found = _RETRY_DELAY.fullmatch(str(one.get("retryDelay"))) if isinstance(one, dict) else None
        if found:
            return float(found[1])
    return None


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms` (OpenAI), or `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).

    None if the endpoint says neither, and at most `MAX_RETRY_AFTER`.
    """
    seconds = _read_seconds(headers.get("retry-after-ms"), 0.001)
    if seconds is None:
        value = headers.get("retry-after") or ""
        seconds = _read_seconds(value)
        if seconds is None and (until := _read_date(value)) is not None:
            # Relative to the server's clock, which may differ from the one here.
            now = _read_date(headers.get("date") or "")
            seconds = until - (time.time() if now is None else now)
    return None if seconds is None else min(max(0.0, seconds), MAX_RETRY_AFTER)


def _read_seconds(value: str | None, unit: float = 1.0) -> float | None:
    try:
        seconds = float(value or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _read_date(value: str) -> float | None:
    """The seconds since 1970 at a date of HTTP; None if it is none."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def scrub(text: str, secrets: tuple[str, ...], characters: int = DETAIL_CHARS) -> str:
    """`text` on one line, cut to so many characters, with each secret replaced by ***."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
        if len(secret) >= SHORTEST_KEY:  # servers also repeat its beginning, or both ends with stars between
            text = re.sub(re.escape(secret[:KEY_START]) + r"[^\s\"',;]*", "***", text)
            text = re.sub(r"(?<![\w-])[\w-]*[*•…]{3,}[\w*•…-]+", "***", text)
    return " ".join(text.split())[:characters]
