"""What statuses and error bodies mean, how long to wait, and that no secret gets through."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest

from workers.providers.http.errors import error_from_answer, parse_retry_after


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (400, {"error": {"message": "bad", "code": "context_length_exceeded"}}, "context_too_long", False),
        (400, {"error": {"message": "This model's maximum context length is 8192"}}, "context_too_long", False),
        (500, {"error": {"message": "the request exceeds the available context size"}}, "context_too_long", False),
        (400, {"error": {"message": "temperature must be a number"}}, "upstream_refused", False),
        (400, {"error": {"message": "no", "code": "content_filter"}}, "upstream_refused", False),
        (401, {"error": {"message": "who are you"}}, "upstream_unauthorized", False),
        (402, {}, "upstream_quota", False),
        (403, "Forbidden", "upstream_refused", False),
        (
            404,
            {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
            "model_not_found",
            False,
        ),
        (404, {"error": "model 'x' not found"}, "model_not_found", False),
        (404, {"detail": "Not Found"}, "upstream_refused", False),
        (408, {}, "upstream_timeout", True),
        (409, {}, "upstream_error", True),
        (413, {}, "context_too_long", False),
        (422, {"detail": []}, "upstream_refused", False),
        (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "upstream_rate_limited", True),
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, "upstream_quota", False),
        (500, "oops", "upstream_error", True),
        (502, "<html>Bad Gateway", "upstream_error", True),
        (
            503,  # llama.cpp's server
            {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
            "upstream_loading",
            True,
        ),
        (503, {"error": "Model org/m is currently loading", "estimated_time": 20.0}, "upstream_loading", True),
        (503, {"detail": "The model is not ready yet"}, "upstream_loading", True),
        (503, {"error": {"message": "The model is overloaded. Please try again later."}}, "upstream_error", True),
        (504, {}, "upstream_timeout", True),
        (529, {"error": {"type": "overloaded_error", "message": "busy"}}, "upstream_error", True),
        (302, "", "upstream_error", False),
        (418, {}, "upstream_error", False),
        (400, [{"error": {"code": 400, "message": "API key not valid."}}], "upstream_unauthorized", False),
        (
            404,
            [{"error": {"code": 404, "message": "models/x is not found for API version v1"}}],
            "model_not_found",
            False,
        ),
        (400, [{"error": {"message": "The input token count (9) exceeds the maximum (8)"}}], "context_too_long", False),
        (404, {"detail": "Model not found"}, "model_not_found", False),
        (400, {"detail": "Invalid model name passed in model=x"}, "model_not_found", False),
        (403, {"detail": "Invalid API key"}, "upstream_unauthorized", False),
        (422, {"detail": [{"loc": ["body"], "msg": "prompt is too long"}]}, "context_too_long", False),
        (400, {"detail": {"error": {"message": "too many tokens"}}}, "context_too_long", False),
        (404, 'model "x" not found, try pulling it first', "model_not_found", False),
        (400, "x is not a valid model ID: model x does not exist", "model_not_found", False),
        (401, "Incorrect API key provided", "upstream_unauthorized", False),
        (
            400,  # LiteLLM's proxy without a database
            {"error": {"message": "No connected db.", "type": "no_db_connection", "param": None, "code": "400"}},
            "upstream_unauthorized",
            False,
        ),
        (400, "`inputs` must have less than 4096 tokens", "context_too_long", False),
        (404, "404 page not found", "upstream_refused", False),
        (500, "the request took too long", "upstream_error", True),
    ],
)
def test_statuses(status: int, body: Any, code: str, retryable: bool) -> None:
    error = error_from_answer(status, body)
    assert (error.code, error.retryable) == (code, retryable)
    assert error.message.endswith((".", ").", "/v1)."))
    assert str(status) in error.detail


def test_an_endpoint_may_forbid_another_try() -> None:
    assert not error_from_answer(500, {}, {"x-should-retry": "false"}).retryable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    seconds = parse_retry_after({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)})
    assert seconds is not None
    assert 27 < seconds <= 31
    server = {name: email.utils.formatdate(at, usegmt=True) for name, at in (("date", 1e9), ("retry-after", 1e9 + 7))}
    assert parse_retry_after(server) == 7, "by the server's clock, where it tells the time"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "The model is busy. Please try again in a moment."),
        ({"retry-after": "0"}, "The model is busy. Try again in 1 second."),
        ({"retry-after": "2.2"}, "The model is busy. Try again in 3 seconds."),
        ({"retry-after": "600"}, "The model is busy. Try again in 10 minutes."),
    ],
)
def test_a_busy_model_says_when_to_try_again(headers: dict[str, str], message: str) -> None:
    assert error_from_answer(429, {"error": {"message": "slow down"}}, headers).message == message


def test_secrets_are_struck_out() -> None:
    body = {"error": {"message": "Incorrect API key provided: sk-canary-1.", "code": "sk-canary-1"}}
    error = error_from_answer(401, body, secrets=("sk-canary-1",))
    assert "sk-canary-1" not in f"{error} {error!r} {error.message} {error.detail} {error.code}"
    assert "***" in error.detail


def test_the_endpoints_own_words_are_for_staff_without_secrets() -> None:
    body = {"detail": [{"msg": "x" * 500}, {"loc": ["body", "stream_options"], "key": "sk-canary-1"}]}
    error = error_from_answer(422, body, {"x-request-id": "req-7"}, secrets=("sk-canary-1",))
    assert "stream_options" in error.said
    assert "sk-canary-1" not in error.said
    assert error.request_id == "req-7"


@pytest.mark.parametrize(
    "echo", ["sk-canary-0123456789", "sk-canary-01", "sk-c*******6789", "*****6789", "sk-can…6789"]
)
def test_parts_of_a_key_are_struck_out(echo: str) -> None:
    error = error_from_answer(401, {"error": {"message": f"Bad key: {echo}."}}, secrets=("sk-canary-0123456789",))
    assert "6789" not in error.said + error.detail
    assert "canary-0" not in error.said
    assert "Bad key: ***" in error.said


def test_the_detail_is_one_short_line() -> None:
    detail = error_from_answer(500, "line\n" * 1000).detail
    assert "\n" not in detail
    assert len(detail) <= 300
