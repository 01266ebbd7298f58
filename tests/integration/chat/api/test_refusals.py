"""Requests of the API that are refused, and how. Who may ask is in `test_token_grid`."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.integration


def test_errors_have_the_known_shape(stack: Stack, plain: httpx.Client) -> None:
    refused = httpx.get(f"{stack.webs[0].url}/v1/models", trust_env=False)
    found = refused.json()
    assert found["error"].pop("trace_id") == refused.headers["x-request-id"]
    assert found == {
        "error": {
            "message": "Send your API token in the header 'Authorization: Bearer …'. Log-in cookies are not accepted"
            " here.",
            "type": "invalid_request_error", "param": None, "code": "missing_api_key",
        }
    }  # fmt: skip
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "no-store" in refused.headers["cache-control"]
    assert "set-cookie" not in refused.headers
    assert plain.get("files").status_code == 404
    assert plain.post("models", json={}).status_code == 405
    assert plain.get("chat/completions").status_code == 405


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "unknown"}, 404, "model_not_found", "model"),
        ({"model": None}, 400, "missing_required_parameter", "model"),
        ({"messages": []}, 400, "missing_required_parameter", "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, 400,
         "invalid_value", "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400,
         "unsupported_content", "messages[0].content[0]"),
        ({"tools": [{"type": "function"}]}, 400, "missing_required_parameter", "tools[0].function"),
        ({"n": 2}, 400, "unsupported_parameter", "n"),
        ({"top_p": 1.5}, 400, "invalid_value", "top_p"),
        ({"top_p": "most"}, 400, "invalid_type", "top_p"),
        ({"response_format": {"type": "grammar"}}, 400, "unsupported_parameter", "response_format"),
        ({"temperature": 3}, 400, "invalid_value", "temperature"),
        ({"max_tokens": "many"}, 400, "invalid_type", "max_tokens"),
        ({"reasoning_effort": "endless"}, 400, "invalid_value", "reasoning_effort"),
        ({"stream": "yes"}, 400, "invalid_type", "stream"),
        ({"messages": [{"role": "user", "content": "x" * 500_000}]}, 400, "too_large", "messages"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be(
    ask: Any, upstream: FakeOpenAI, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    before = len(upstream.chats)
    refused = ask(**fields)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (status, code, param), error
    assert len(upstream.chats) == before


def test_values_that_change_nothing_are_taken(ask: Any) -> None:
    neutral = {"n": 1, "top_p": 1, "presence_penalty": 0, "tools": [], "stop": None, "user": "u", "seed": 3,
               "logprobs": False, "response_format": {"type": "text"}}  # fmt: skip
    assert ask(**neutral).status_code == 200


def test_what_is_no_json(plain: httpx.Client) -> None:
    for body in (b"", b"{", b"[]", b"\xff"):
        refused = plain.post("chat/completions", content=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_json")
