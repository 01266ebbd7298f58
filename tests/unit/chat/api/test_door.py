"""What every request of a program passes first, where no server is needed to see it."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.auth import api_tokens
from accounts.auth.api_tokens import find_access
from chat.api import door, endpoint
from chat.api.errors import ApiError

SECRET = "ant_0123456789ab_" + "A" * 43


def request(*headers: tuple[str, str], method: str = "POST", scheme: str = "http") -> dict[str, Any]:
    return {
        "type": "http", "method": method, "scheme": scheme, "path": "/v1/chat/completions",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }  # fmt: skip


async def answered(scope: dict[str, Any]) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer of `/v1/`."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    await endpoint.application(scope, receive, send)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens that were looked up. There is none."""
    seen: list[str] = []

    def refuse(text: str) -> None:
        seen.append(text)

    async def counted(_limits: Any) -> None:
        pass

    monkeypatch.setattr(door, "_find_access", refuse)
    monkeypatch.setattr("chat.api.door.rate_limits.acquire", counted)
    return seen


@pytest.mark.parametrize(
    ("scheme", "forwarded", "proxy", "is_looked_up"),
    [
        ("http", "", False, False), ("https", "", False, True),
        # The header counts only where a trusted proxy sets it.
        ("http", "https", False, False), ("http", "https", True, True), ("http", "http", True, False),
        ("https", "", True, False),
    ],
)  # fmt: skip
async def test_a_token_over_http_is_not_even_looked_up(
    scheme: str, forwarded: str, proxy: bool, is_looked_up: bool, settings: Any, asked: list[str]
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if proxy else None
    more = [("X-Forwarded-Proto", forwarded)] if forwarded else []
    with pytest.raises(ApiError) as refused:
        await door.admit(request(("Authorization", f"Bearer {SECRET}"), *more, scheme=scheme))
    assert (refused.value.status, asked) == ((401, [SECRET]) if is_looked_up else (403, []))


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
async def test_no_page_of_another_site_may_read_an_answer(method: str, asked: list[str]) -> None:
    """Neither a preflight nor an answer has one of the headers that allow it."""
    asks = ("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")
    status, headers = await answered(request(*asks, ("Authorization", f"Bearer {SECRET}"), method=method))
    assert status == 401
    assert [name for name in headers if name.startswith("access-control")] == []


@pytest.mark.parametrize("is_known", [True, False])
def test_a_secret_is_compared_in_constant_time(is_known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no token has that prefix, so that the time does not tell which prefixes there are."""
    compared: list[tuple[str, str]] = []

    class Row:
        token_hash = "0" * 64

    class Found:
        def select_related(self, *_: str) -> Found:
            return self

        def filter(self, **_: str) -> Found:
            return self

        def first(self) -> Row | None:
            return Row() if is_known else None

    def compare(stored: str, given: str) -> bool:
        compared.append((stored, given))
        return False

    monkeypatch.setattr("accounts.auth.api_tokens.ApiToken.objects", Found())
    monkeypatch.setattr(api_tokens, "constant_time_compare", compare)
    assert find_access(SECRET) is None
    [(stored, given)] = compared
    assert len(stored) == len(given) == 64
