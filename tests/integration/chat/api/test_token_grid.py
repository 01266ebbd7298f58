"""Who may ask what of the API: tokens and other identities, by address and verb, at `/v1/`, REST and for tickets."""

from __future__ import annotations

import uuid
from typing import Any, Final

import httpx
import pytest

from accounts.models import TokenScope
from chat.api import endpoint
from tests import log_ins
from tests.client import session
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.asking import eventually
from tests.stack import Stack

pytestmark = pytest.mark.integration

QUESTION: Final = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
MODELS, CHAT, READ, SOCKET, USAGE = (scope.value for scope in TokenScope)
PLACES: Final[dict[tuple[str, str], tuple[Any, frozenset[str]]]] = {
    ("GET", "/v1/models"): (None, frozenset({MODELS})),
    ("GET", "/v1/models/small"): (None, frozenset({MODELS})),
    ("POST", "/v1/chat/completions"): (QUESTION, frozenset({CHAT})),
    ("POST", "/v1/responses"): ({"model": "small", "input": "hello"}, frozenset({CHAT})),
    ("POST", "/api/v1/ticket"): (None, frozenset({SOCKET})),
    ("GET", "/api/v1/me"): (None, frozenset(TokenScope.values)),
    ("GET", "/api/v1/conversations"): (None, frozenset({READ, SOCKET})),
    ("POST", "/api/v1/conversations"): ({"text": "hello", "model": "small"}, frozenset({SOCKET})),
    ("POST", "/api/v1/uploads"): ({"name": "x.txt", "size": 1}, frozenset({SOCKET})),
    ("GET", "/api/v1/usage"): (None, frozenset({USAGE})),
    ("GET", "/api/v1/quotas"): (None, frozenset({USAGE})),
}
"""What a request has to send, and the permissions of which each allows it. `test_rest_grid` has the rest of REST."""
OK, NONE, LESS, OFF = "ok", 401, 403, 404
Answers = dict[tuple[str, str], str | int]


def ask_all(stack: Stack, headers: dict[str, str]) -> Answers:
    with httpx.Client(base_url=stack.webs[0].url, headers=headers, timeout=30, trust_env=False) as client:
        answers = {
            place: client.request(*place, json=body) if body else client.request(*place)
            for place, (body, _) in PLACES.items()
        }
    return {place: OK if answer.is_success else answer.status_code for place, answer in answers.items()}


def each(answer: str | int) -> Answers:
    return dict.fromkeys(PLACES, answer)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_identity_by_address(stack: Stack, upstream: FakeOpenAI) -> None:
    good = add_token(stack, scopes=TokenScope.values)
    async with session(stack.webs[0].url):
        known = log_ins.kept[stack.webs[0].url, "alice@example.org"]
    cookies = "; ".join(f"{name}={value}" for name, value in known.items())
    disabled = stack.add_user("Disabled")
    off = add_token(stack, disabled, TokenScope.values)
    stack.sql("UPDATE accounts_user SET is_active = false WHERE email = %s", disabled)
    ended = {name: add_token(stack, scopes=TokenScope.values, **{name: "2020-01-01T00:00:00Z"})
             for name in ("expires_at", "revoked_at")}  # fmt: skip
    others = {
        "nobody": {},
        "a cookie alone": {"Cookie": cookies},
        "a wrong secret": bearer(good[:-3] + ("aaa" if good[-3:] != "aaa" else "bbb")),
        "no token": bearer("sk-something"),
        "a directory's": bearer(f"scim_{good.removeprefix('ant_')}"),
        "another kind": {"Authorization": f"Basic {good}"},
        "expired": bearer(ended["expires_at"]),
        "revoked": bearer(ended["revoked_at"]),
        "disabled user": bearer(off),
    }
    found = {name: ask_all(stack, headers) for name, headers in others.items()}
    assert found == {name: each(NONE) for name in others}
    assert not upstream.chats
    assert ask_all(stack, bearer(good)) == each(OK)
    assert ask_all(stack, bearer(add_token(stack, scopes=[]))) == each(LESS) | {("GET", "/api/v1/me"): OK}


@pytest.mark.parametrize("scope", TokenScope.values)
def test_permission_by_address(stack: Stack, scope: str) -> None:
    wanted = {place: OK if scope in scopes else LESS for place, (_, scopes) in PLACES.items()}
    assert ask_all(stack, bearer(add_token(stack, scopes=[scope]))) == wanted


def test_every_address_is_in_the_grid() -> None:
    at_v1 = {path.removeprefix(endpoint.PREFIX) for _, path in PLACES if path.startswith(endpoint.PREFIX)}
    assert at_v1 == {"models", "models/small", *endpoint._READERS}
    assert ("POST", endpoint.TICKET_PATH) in PLACES


def test_other_verbs_do_nothing(stack: Stack, upstream: FakeOpenAI) -> None:
    upstream.reset()
    served: dict[str, set[str]] = {}
    for method, path in PLACES:
        served.setdefault(path, set()).add(method)
    headers = bearer(add_token(stack, scopes=TokenScope.values))
    with httpx.Client(base_url=stack.webs[0].url, headers=headers, timeout=30, trust_env=False) as client:
        for path, methods in served.items():
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
                refused = client.request(method, path, json={"model": "small", "input": "x"})
                assert (refused.status_code, refused.json()["error"]["code"]) == (405, "method_not_allowed"), path
    assert not upstream.chats


def test_what_another_user_has_asked_is_unknown(stack: Stack, upstream: FakeOpenAI) -> None:
    """By the id of a response, and by the key of a request."""
    upstream.reset()
    hers, his = bearer(add_token(stack)), bearer(add_token(stack, "bob@example.org"))
    url, key = f"{stack.webs[0].url}/v1/responses", {"Idempotency-Key": uuid.uuid4().hex}
    asked = {"model": "small", "input": "My name is Ada."}
    first = httpx.post(url, json=asked, headers=hers | key, timeout=30, trust_env=False).json()
    linked = {"model": "small", "input": "Who am I?", "previous_response_id": first["id"]}
    refused = httpx.post(url, json=linked, headers=his, timeout=30, trust_env=False)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "previous_response_not_found")
    same = httpx.post(url, json=asked, headers=his | key, timeout=30, trust_env=False).json()
    assert same["id"] != first["id"]
    assert len(upstream.chats) == 2


def test_switched_off_by_staff_it_is_gone_for_all_tokens(stack: Stack) -> None:
    code = (
        "from accounts.models import SiteSettings\nSiteSettings.objects.update_or_create(pk=1, defaults={{'off': {}}})"
    )
    headers = bearer(add_token(stack, scopes=TokenScope.values))
    try:
        stack.manage("shell", "--no-imports", "-c", code.format(["api"]))
        eventually(lambda: ask_all(stack, headers) == each(OFF), 30)
    finally:
        stack.manage("shell", "--no-imports", "-c", code.format([]))
    eventually(lambda: ask_all(stack, headers) == each(OK), 30)
