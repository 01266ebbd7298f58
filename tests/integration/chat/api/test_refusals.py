"""Who may ask what of the API: tokens and other identities, by address and verb; and requests that are refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests import log_ins
from tests.client import session
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.stack import Stack

pytestmark = pytest.mark.integration

QUESTION = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
PLACES: dict[str, tuple[str, Any]] = {
    "models": ("GET", None),
    "models/small": ("GET", None),
    "chat/completions": ("POST", QUESTION),
    "responses": ("POST", {"model": "small", "input": "hello"}),
}
OK, NONE, LESS = 200, 401, 403
LISTS, ASKS = ("models", "models/small"), ("chat/completions", "responses")


def ask_all(stack: Stack, headers: dict[str, str]) -> dict[str, int]:
    with httpx.Client(base_url=f"{stack.webs[0].url}/v1/", headers=headers, timeout=30, trust_env=False) as client:
        return {place: client.request(method, place, json=body).status_code for place, (method, body) in PLACES.items()}


def each(status: int) -> dict[str, int]:
    return dict.fromkeys(PLACES, status)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_identity_by_address(stack: Stack, upstream: FakeOpenAI) -> None:
    good = add_token(stack)
    async with session(stack.webs[0].url):
        known = log_ins.kept[stack.webs[0].url, "alice@example.org"]
    cookies = "; ".join(f"{name}={value}" for name, value in known.items())
    disabled = stack.add_user("Disabled")
    off = add_token(stack, disabled)
    stack.sql("UPDATE accounts_user SET is_active = false WHERE email = %s", disabled)
    others = {
        "nobody": {},
        "a cookie alone": {"Cookie": cookies},
        "a wrong secret": bearer(good[:-3] + ("aaa" if good[-3:] != "aaa" else "bbb")),
        "no token": bearer("sk-something"),
        "another kind": {"Authorization": f"Basic {good}"},
        "expired": bearer(add_token(stack, expires_at="2020-01-01T00:00:00Z")),
        "revoked": bearer(add_token(stack, revoked_at="2020-01-01T00:00:00Z")),
        "disabled user": bearer(off),
    }
    found = {name: ask_all(stack, headers) for name, headers in others.items()}
    assert found == {name: each(NONE) for name in others}
    assert not upstream.chats
    assert ask_all(stack, bearer(good)) == each(OK)
    assert ask_all(stack, bearer(add_token(stack, scopes=["models.read"]))) == {
        **dict.fromkeys(LISTS, OK), **dict.fromkeys(ASKS, LESS)
    }  # fmt: skip
    assert ask_all(stack, bearer(add_token(stack, scopes=["chat"]))) == {
        **dict.fromkeys(LISTS, LESS), **dict.fromkeys(ASKS, OK)
    }  # fmt: skip
    assert ask_all(stack, bearer(add_token(stack, scopes=[]))) == each(LESS)


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
