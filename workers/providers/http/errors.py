"""Errors of model APIs as `ProviderError`: by the error's code, else its text, else the HTTP status.

Codes and statuses: the guides to errors of OpenAI, Anthropic, Google (google.rpc.Code) and Azure, plus what vLLM,
llama.cpp, Ollama and OpenRouter send.
The endpoint's own text is never shown to users. Secrets are removed before it is logged: some servers echo keys.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import ngettext

from accounts.lib.texts import gettext_noop
from workers.providers.base import ProviderError
from workers.providers.http.error_fields import error_fields, shorten_words, words_of
from workers.providers.http.json_values import read_number

DETAIL_CHARS: Final = 300
REFUSED_BY_FILTER: Final = gettext_noop("The model's provider refused to answer because of its content rules.")
NOT_SET_UP: Final = gettext_noop("This model isn't set up correctly. Please tell an administrator.")
TOO_SLOW: Final = gettext_noop("The model took too long to respond. Please try again.")
BUSY: Final = gettext_noop("The model is busy. Please try again in a moment.")


@dataclass(frozen=True, slots=True)
class ErrorKind:
    code: str
    message: str
    retryable: bool = False


_CONTEXT = ErrorKind(
    "context_too_long", gettext_noop("This conversation is too long for the model. Start a new one, or shorten it.")
)
_MODEL = ErrorKind("model_not_found", gettext_noop("This model is no longer available. Choose another one."))
_ADDRESS = ErrorKind("upstream_refused", NOT_SET_UP)
_MOVED = ErrorKind("upstream_error", NOT_SET_UP)
_KEY = ErrorKind("upstream_unauthorized", NOT_SET_UP)
_QUOTA = ErrorKind(
    "upstream_quota", gettext_noop("This model's account has no credit left. Please tell an administrator.")
)
_RATE = ErrorKind("upstream_rate_limited", BUSY, True)
_FILTER = ErrorKind("upstream_refused", REFUSED_BY_FILTER)
_REFUSED = ErrorKind("upstream_refused", gettext_noop("The model's server rejected this request."))
_FORBIDDEN = ErrorKind(
    "upstream_refused", gettext_noop("This model can't be used here. Choose another one, or tell an administrator.")
)
_SLOW = ErrorKind("upstream_timeout", TOO_SLOW, True)
_BROKEN = ErrorKind("upstream_error", gettext_noop("The model's server has a problem. Please try again."), True)
_LOADING = ErrorKind("upstream_loading", gettext_noop("The model is being loaded. Please try again in a moment."), True)
_UNKNOWN = ErrorKind(
    "upstream_error", gettext_noop("The model's server sent an unexpected response. Please try again.")
)

_BY_CODE: Final[Mapping[str, ErrorKind]] = {
    "context_length_exceeded": _CONTEXT,
    "string_above_max_length": _CONTEXT,
    "exceed_context_size_error": _CONTEXT,
    "model_not_found": _MODEL,
    "invalid_api_key": _KEY,
    "authentication_error": _KEY,
    "no_db_connection": _KEY,  # LiteLLM without a database: it knows no key but its own, and this is another one
    "insufficient_quota": _QUOTA,
    "billing_hard_limit_reached": _QUOTA,
    "rate_limit_exceeded": _RATE,
    "rate_limit_error": _RATE,
    "content_filter": _FILTER,
    "content_policy_violation": _FILTER,
    "overloaded_error": _BROKEN,
    "server_error": _BROKEN,
    "internal_server_error": _BROKEN,
    "timeout": _SLOW,
    "invalid_prompt": _FILTER,  # the Responses API
    "deploymentnotfound": _MODEL,  # Azure
    "request_too_large": _CONTEXT,  # Anthropic, down to the timeout
    "permission_error": _FORBIDDEN,
    "billing_error": _QUOTA,
    "api_error": _BROKEN,
    "timeout_error": _SLOW,
    "unauthenticated": _KEY,  # Google, from here on; INVALID_ARGUMENT and others say nothing on their own
    "resource_exhausted": _RATE,
    "unavailable": _BROKEN,
    "internal": _BROKEN,
    "deadline_exceeded": _SLOW,
}
_BY_STATUS: Final[Mapping[int, ErrorKind]] = {
    301: _MOVED,
    302: _MOVED,
    303: _MOVED,
    307: _MOVED,
    308: _MOVED,
    400: _REFUSED,
    401: _KEY,
    402: _QUOTA,
    403: _FORBIDDEN,
    408: _SLOW,
    409: _BROKEN,
    413: _CONTEXT,
    422: _REFUSED,
    429: _RATE,
    504: _SLOW,
}
SHORTEST_KEY: Final = 12  # characters of a secret of which a part is a secret, too
KEY_START: Final = 6
SAID_CHARS: Final = 20_000  # of the endpoint's own words, in which reasons are looked for
MAX_RETRY_AFTER: Final = 86_400.0  # seconds; a longer wait is not plausible, and counts as this one

# What is said where there is no code, in lower case. Each is one reason, worded by vLLM, llama.cpp, Ollama, LiteLLM,
# OpenRouter, Gemini, TGI, LM Studio and others.
_CONTEXT_WORDS: Final = re.compile(
    r"context[ _](?:length|size|window)|maximum context|too many (?:input |prompt )?tokens|(?<!took )too long"
    r"|(?:prompt|input) (?:is|has|contains|exceeds).{0,40}(?:exceed|larger|longer|maximum|limit)"
    r"|reduce (?:the|your) (?:length|prompt)|input length|input (?:token count|tokens?) .{0,40}exceed"
    r"|must have less than \d+ tokens|n_ctx"
)
_KEY_WORDS: Final = re.compile(
    r"api[ _-]?key|invalid (?:token|credentials|authentication)|authenticat|unauthori[sz]ed|access token|bearer token"
)
_MODEL_WORDS: Final = re.compile(
    r"models?\b.{0,120}?\b(?:not found|(?:does|do|did) not exist|doesn't exist|not a valid model|not loaded"
    r"|no longer|not available|isn't available|is not served)"
    r"|(?:unknown|invalid|no such|unsupported) model|^model: |no model (?:named|called|with)|model_not_found",
    re.DOTALL,
)
# llama.cpp's server ("Loading model"), Hugging Face's ("Model x is currently loading") and others, with HTTP 503.
_LOADING_WORDS: Final = re.compile(
    r"\bloading (?:the )?model|\bmodels?\b.{0,200}?\b(?:is|are|being|still|currently) (?:\w+ )?load(?:ing|ed)\b"
    r"|\bmodels?\b.{0,80}?\bnot (?:yet )?(?:loaded|ready)\b|\bwarming up\b",
    re.DOTALL,
)
_QUOTA_WORDS: Final = re.compile(r"credit balance is too low")  # Anthropic, with HTTP 400
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
    kind = _find_kind(status, codes, shorten_words(words or said).lower())
    retry_after = parse_retry_after(headers)
    if retry_after is None:
        retry_after = _retry_delay(fields)
    detail = f"HTTP {status}" if status else "error in the stream"
    detail = " ".join(part for part in (detail, code, words or (said if body else "")) if part)
    retryable = kind.retryable and headers.get("x-should-retry") != "false"
    return ProviderError(
        kind.code,
        busy(retry_after) if kind is _RATE else kind.message,
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


def _find_kind(status: int | None, codes: tuple[str, ...], words: str) -> ErrorKind:
    if status == 503 and _LOADING_WORDS.search(words):
        return _LOADING
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    if _QUOTA_WORDS.search(words):
        return _QUOTA
    if status in (None, 400, 413, 422, 500) and _CONTEXT_WORDS.search(words):
        return _CONTEXT  # llama.cpp and others have no code for this
    if status in (None, 400, 401, 403) and _KEY_WORDS.search(words):
        return _KEY
    if status in (None, 400, 404, 422, 500) and _MODEL_WORDS.search(words):
        return _MODEL
    if status == 404:
        return _ADDRESS
    if status is None:
        return _BROKEN
    return _BY_STATUS.get(status, _BROKEN if status >= 500 else _UNKNOWN)


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
