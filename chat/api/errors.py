"""The API's errors, in the shape of OpenAI's with a trace: `{"error": {"message", "type", "param", "code",
"trace_id"}}`.
"""

from __future__ import annotations

import math
from typing import Any, Final

from chat.protocol.errors import ChatError, QuotaExceeded
from chat.telemetry import tracing

INVALID: Final = "invalid_request_error"
SERVER: Final = "server_error"
_OF_CHAT: Final[dict[str, tuple[int, str, str]]] = {
    "not_found": (404, INVALID, "not_found"),
    "forbidden": (403, "permission_error", "forbidden"),
    "suspended": (403, "permission_error", "account_suspended"),
    "invalid": (400, INVALID, "invalid_value"),
    "too_large": (400, INVALID, "too_large"),
    "moderated": (400, INVALID, "content_policy_violation"),
    "conflict": (409, INVALID, "idempotency_key_reused"),
    "busy": (409, INVALID, "busy"),
    "offset": (409, INVALID, "wrong_offset"),
    "rate_limited": (429, "rate_limit_error", "rate_limit_exceeded"),
    "quota_exceeded": (429, "insufficient_quota", "insufficient_quota"),
}
# Codes of runs that ended without a whole answer: status, type and code here.
_OF_RUNS: Final[dict[str, tuple[int, str, str]]] = {
    "moderated": (400, INVALID, "content_policy_violation"),
    "moderation_unavailable": (503, SERVER, "moderation_unavailable"),
    "quota_exceeded": (429, "insufficient_quota", "insufficient_quota"),
    "context_too_long": (400, INVALID, "context_length_exceeded"),
    "images_not_read": (400, INVALID, "unsupported_content"),
    "model_not_found": (404, INVALID, "model_not_found"),
    "upstream_no_tools": (400, INVALID, "unsupported_parameter"),
    "upstream_no_format": (400, INVALID, "unsupported_parameter"),
    "upstream_no_logprobs": (400, INVALID, "unsupported_parameter"),
    "upstream_refused": (400, INVALID, "upstream_refused"),
    "upstream_rate_limited": (429, "rate_limit_error", "upstream_rate_limited"),
    "upstream_timeout": (504, SERVER, "upstream_timeout"),
    "upstream_loading": (503, SERVER, "upstream_loading"),
    "worker_lost": (503, SERVER, "worker_lost"),
}

# What of the request a model has refused.
_PARAMS: Final = {"upstream_no_tools": "tools", "upstream_no_logprobs": "logprobs"}


class ApiError(Exception):
    """A refusal. `param` names what is wrong in the request. `retry_after`: seconds.

    `retry`: whether a client may send the request again by itself; the official clients read it from a header.
    `more`: further fields of the error.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        kind: str = INVALID,
        param: str | None = None,
        retry_after: float | None = None,
        retry: bool | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.kind = kind
        self.param = param
        self.retry_after = retry_after
        self.retry = retry
        self.more = more or {}

    @property
    def body(self) -> dict[str, Any]:
        """`trace_id` finds the request in the site's logs."""
        shown = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": {**shown, "trace_id": tracing.trace_id(tracing.current.get()) or None, **self.more}}

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        found = []
        if self.retry_after is not None:
            found.append((b"retry-after", str(max(1, math.ceil(self.retry_after))).encode()))
        if self.retry is not None:
            found.append((b"x-should-retry", b"true" if self.retry else b"false"))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        return found


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """A request that says something that cannot be."""
    return ApiError(400, message, param=param, code=code)


def unsupported(param: str, message: str = "") -> ApiError:
    """A parameter that this site does not serve."""
    return invalid(message or f"'{param}' is not supported here.", param, "unsupported_parameter")


def no_such_model(model: str) -> ApiError:
    return ApiError(
        404, f"The model '{model}' does not exist, or you may not use it.", code="model_not_found", param="model"
    )


def unavailable(message: str = "The service is unavailable right now. Try again in a moment.") -> ApiError:
    return ApiError(503, message, code="unavailable", kind=SERVER, retry_after=5)


def of_chat_error(error: ChatError) -> ApiError:
    """A refusal of the site as the API's."""
    status, kind, code = _OF_CHAT.get(error.code, (503, SERVER, error.code))
    retry = False if isinstance(error, QuotaExceeded) else None  # it would only be refused again
    after = error.retry_after if error.retry_after is not None else (5.0 if status == 503 else None)
    return ApiError(status, error.message, code=code, kind=kind, retry_after=after, retry=retry)


def of_run(code: str, message: str, form_name: str = "response_format") -> ApiError:
    """Why a run has no whole answer. What failed here was tried again already: a client is told not to. `form_name` is
    what the request calls the form of the answer.
    """
    status, kind, name = _OF_RUNS.get(code, (502, SERVER, code or "no_answer"))
    return ApiError(
        status, message or "There is no answer.", code=name, kind=kind, retry=False,
        retry_after=10 if status in (429, 503) else None,
        param=form_name if code == "upstream_no_format" else _PARAMS.get(code),
    )  # fmt: skip
