"""Requests with passwords have threads of their own: however many there are, other pages are made."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from config.web import password_line
from config.web.pages import THREADS, Pages
from config.web.password_line import MOST, MOST_OF_NETWORK, PasswordLine, checks_password, refused_for
from config.web.rates import RateMiddleware


class Site(Pages):
    """Answers with the path. Whoever sends a password waits until the test lets them go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        super().__init__()

    def _respond_here(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and not refused_for(request):
            assert self.let_go.wait(60)
        return HttpResponse(request.path)


def asked(path: str, method: str = "post", address: str = "192.0.2.1") -> HttpRequest:
    return getattr(RequestFactory(), method)(path, REMOTE_ADDR=address)  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/s/abc"])
async def test_other_pages_do_not_wait_for_passwords(path: str) -> None:
    site = Site()
    guesses = [asyncio.create_task(site.get_response_async(asked(path))) for _ in range(THREADS + 4)]
    try:
        async with asyncio.timeout(20):
            for _ in range(THREADS + 4):
                page: Any = await site.get_response_async(asked("/", "get"))
                assert page.content == b"/"
        assert not any(guess.done() for guess in guesses)
    finally:
        site.let_go.set()
    assert [one.status_code for one in await asyncio.gather(*guesses)] == [200] * len(guesses)


async def test_who_finds_the_line_full_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_line, "MOST_OF_NETWORK", 3)
    site = Site()
    waiting = [asyncio.create_task(site.get_response_async(asked("/accounts/login/"))) for _ in range(3)]
    await asyncio.sleep(0)
    late = asked("/accounts/login/")
    try:
        async with asyncio.timeout(20):
            await site.get_response_async(late)
    finally:
        site.let_go.set()
    await asyncio.gather(*waiting)
    refused = RateMiddleware(lambda _: HttpResponse()).process_view(late, None)
    assert refused is not None
    assert (refused.status_code, refused["Retry-After"]) == (429, str(password_line.RETRY_SECONDS))
    assert json.loads(refused.content)["code"] == "rate_limited"


def test_places() -> None:
    """One network cannot have all of them, and they are free again afterwards."""
    line = PasswordLine()

    def taken(addresses: list[str]) -> list[bool]:
        if not addresses:
            return []
        with line.place(asked("/accounts/login/", address=addresses[0])) as has_place:
            return [has_place, *taken(addresses[1:])]

    of_one = ["192.0.2.1"] * (MOST_OF_NETWORK + 1)
    of_many = [f"198.51.100.{number}" for number in range(MOST - MOST_OF_NETWORK + 1)]
    expected = [True] * MOST_OF_NETWORK + [False] + [True] * (MOST - MOST_OF_NETWORK) + [False]
    assert taken(of_one + of_many) == expected
    assert taken(["2001:db8::1"] * MOST_OF_NETWORK + ["2001:db8::2", "2001:db8:0:1::1"])[-2:] == [False, True]
    assert taken(["192.0.2.1"]) == [True]


@pytest.mark.parametrize(
    ("method", "path", "checks"),
    [
        ("get", "/accounts/login/", False), ("post", "/accounts/logout/", False), ("post", "/c/x/rename/", False),
        ("post", "/accounts/2fa/authenticate/", True), ("post", "/accounts/reauthenticate/", True),
        ("post", "/accounts/password/reset/key/x-y/", True), ("post", "/accounts/delete/", True),
    ],
)  # fmt: skip
def test_which_requests_wait(method: str, path: str, checks: bool) -> None:
    assert checks_password(asked(path, method)) is checks
