"""Errors that come in the place of an answer, and refusals in odd forms: the reason is found, and nothing more."""

from __future__ import annotations

import json
import time

import pytest

from tests.unit.workers.providers.dialect_calls import read
from workers.endpoints.connection_test import explain
from workers.providers.base import ProviderError
from workers.providers.config import Definition
from workers.providers.http.dialect import Dialect
from workers.providers.http.error_fields import decode_body
from workers.providers.http.errors import error_from_answer, parse_retry_after
from workers.providers.http.learned import Lesson, find_lesson
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.windows import read_overflow

HELLO = b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n'


def failure_of(body: bytes, dialect: Dialect | None = None) -> ProviderError:
    reader = (dialect or OpenAIDialect()).reader((), lambda _kind, _found: None)
    reader.feed(body)
    if reader.failure is None:
        reader.end()
    assert reader.failure is not None
    return reader.failure


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b'error: {"code": 500, "message": "KV cache is full"}\n\n', "upstream_error", "KV cache"),
        (b'{"error": {"message": "No credits", "code": 402}}\n', "upstream_quota", "No credits"),
        (b'event: error\ndata: {"message": "Slow down", "status": 429}\n\n', "upstream_rate_limited", "Slow down"),
        (b"event: error\ndata: Internal failure\n\n", "upstream_error", "Internal failure"),
    ],
)
@pytest.mark.parametrize("before", [b"", b": waiting\n\n", HELLO])
def test_an_error_in_the_stream_without_its_form(body: bytes, code: str, words: str, before: bytes) -> None:
    failure = failure_of(before + body)
    assert failure.code == code
    assert words in failure.said


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"detail": "Not authenticated"}, "upstream_unauthorized"),
        ({"code": 1301, "msg": "the api key is invalid", "success": False}, "upstream_unauthorized"),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail: invalid api key"}}, "upstream_unauthorized"),
        ({"success": False, "errors": [{"code": 7003, "message": "unknown model"}]}, "model_not_found"),
        ({"error_code": 17, "error_msg": "model m does not exist"}, "model_not_found"),
        ({"status": 404, "title": "Not found", "type": "about:blank", "detail": "no model named m"}, "model_not_found"),
    ],
)
def test_an_error_in_place_of_an_answer(body: dict[str, object], code: str) -> None:
    assert failure_of(json.dumps(body).encode()).code == code
    assert failure_of(b"data: " + json.dumps(body).encode() + b"\n\n").code == code


@pytest.mark.parametrize(
    "event",
    [
        {"type": "status", "message": "Searching", "code": 0},
        {"code": 200, "message": "success"},
        {"type": "progress", "detail": {"step": 1}, "status": "in_progress"},
    ],
)
def test_an_event_about_progress_is_no_error(event: dict[str, object]) -> None:
    stop = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    reader, _, reported = read(OpenAIDialect(), event, {"choices": [{"delta": {"content": "Hello"}}]}, stop)
    assert reader.failure is None
    assert reported == ["event"]


@pytest.mark.parametrize("body", [b"Hello there\n", b"\x0b\x02\x80hello\x03", "data: {}".encode("utf-16")])
def test_a_body_that_is_no_event_stream_is_not_a_lost_connection(body: bytes) -> None:
    failure = failure_of(body)
    assert (failure.code, failure.retryable) == ("upstream_garbage", False)


def test_comments_alone_are_a_lost_connection() -> None:
    assert failure_of(b": waiting\n\nretry: 5\nid: 7\n\n").code == "upstream_cut"


def test_a_page_in_place_of_lines_is_no_answer() -> None:
    assert failure_of(b"<html>Log in</html>", OllamaDialect()).code == "upstream_garbage"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "inf"}, None), ({"retry-after-ms": "nan"}, None), ({"retry-after": "soon"}, None),
        ({"retry-after": "1e300"}, 86_400.0), ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2300"}, 86_400.0),
        ({"retry-after": "-5"}, 0.0), ({"retry-after": "7", "date": "garbage"}, 7.0),
    ],
)  # fmt: skip
def test_a_wait_that_is_not_plausible(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers) == seconds
    assert len(error_from_answer(429, {}, headers).message) < 60


def test_a_delay_without_bounds_does_not_stop_the_worker() -> None:
    body = {"error": {"code": 429, "details": [{"retryDelay": "9" * 400 + "s"}]}}
    assert error_from_answer(429, body).retry_after is None


@pytest.mark.parametrize("code", ["²³¹", "٤٢٩", 429.0, [], {"a": 1}, True])
def test_codes_of_other_types(code: object) -> None:
    assert error_from_answer(400, {"error": {"code": code, "message": "odd"}}).code == "upstream_refused"


@pytest.mark.parametrize("depth", [600, 5000, 100_000])
def test_an_error_within_errors(depth: int) -> None:
    body = b'{"error":' * depth + b'"x"' + b"}" * depth
    assert error_from_answer(400, decode_body(body)).code == "upstream_refused"


def test_what_a_validation_error_repeats_of_the_request_teaches_nothing() -> None:
    sent = {"stream": True, "stream_options": {}, "temperature": 1, "max_tokens": 5}
    detail = [{"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": sent}]
    failure = error_from_answer(422, {"detail": detail})
    assert "temperature" not in failure.said
    assert find_lesson(failure.said, sent, has_system=True) is None


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("Invalid 'max_tokens': integer below minimum value. Expected a value >= 16.", "max_tokens"),
        ("max_tokens must be at least 16", "max_tokens"),
        ("`temperature` must be strictly positive", "temperature"),
    ],
)
def test_a_value_that_is_too_small_is_no_refusal_for_a_day(said: str, what: str) -> None:
    sent = {"max_tokens": 5, "temperature": 0}
    assert find_lesson(said, sent, has_system=False) == Lesson(what, once=True)


@pytest.mark.parametrize("word", ["9" * 19_000, "max" * 6_000, "a" * 19_000, "-" * 19_000, "max_" * 4_000])
def test_a_long_word_does_not_hold_the_worker_up(word: str) -> None:
    began = time.process_time()
    failure = error_from_answer(
        400,
        {"error": {"message": f"max_tokens maximum context length {word} > 5 - 3"}},
        secrets=("sk-secret-key-1234",),
    )
    find_lesson(failure.said, {"max_tokens": 100, "temperature": 1}, has_system=True)
    read_overflow(failure.said)
    assert time.process_time() - began < 0.25


def test_staff_read_the_words_of_a_page_without_its_tags() -> None:
    page = (
        b"<html><head><title>502 Bad Gateway</title><style>p {}</style></head><body><hr>nginx &amp; more</body></html>"
    )
    failure = error_from_answer(502, decode_body(page))
    assert failure.said == "502 Bad Gateway nginx & more"
    told = explain(failure, Definition(id="x", name="x", base_url="http://127.0.0.1:1/v1"))
    assert "It said: 502 Bad Gateway nginx" in told
