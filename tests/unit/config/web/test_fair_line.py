"""Requests get a thread by turns: whoever asks for many pages at once waits for themselves."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from config.web.fair_line import FairLine
from config.web.pages import THREADS, Pages

MANY = 20


class Site(Pages):
    """Notes in which order pages are made. None is, until the test lets them go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.made: list[str] = []
        super().__init__()

    def _respond_here(self, request: HttpRequest) -> HttpResponse:
        assert self.let_go.wait(60)
        self.made.append(request.path)
        return HttpResponse()


def asked(path: str, address: str, session: str = "") -> HttpRequest:
    request = RequestFactory().get(path, REMOTE_ADDR=address)
    if session:
        request.COOKIES[settings.SESSION_COOKIE_NAME] = session
    return request


async def order_of(*requests: HttpRequest) -> list[str]:
    site = Site()
    waiting = []
    for request in requests:
        waiting.append(asyncio.create_task(site.get_response_async(request)))
        await asyncio.sleep(0)
    site.let_go.set()
    await asyncio.gather(*waiting)
    return site.made


async def test_another_network_s_page_is_made_before_those_of_who_asks_for_many() -> None:
    flood = [asked("/flood/", "192.0.2.1", f"forged{number}") for number in range(MANY)]
    made = await order_of(*flood, asked("/mine/", "198.51.100.7"))
    assert len(made) == MANY + 1
    assert made.index("/mine/") <= 2 * THREADS  # behind those that were begun, and those with whom it was begun


async def test_so_is_a_colleague_s_behind_the_same_address() -> None:
    flood = [asked("/flood/", "192.0.2.1", "one") for _ in range(MANY)]
    made = await order_of(*flood, asked("/mine/", "192.0.2.1", "another"))
    assert made.index("/mine/") <= 2 * THREADS


async def test_turns() -> None:
    line, had = FairLine(1), list[str]()

    async def ask(name: str, network: str, visitor: str) -> None:
        async with line.turn(network, visitor):
            had.append(name)
            await asyncio.sleep(0)

    asks: Any = [
        ("first", "n", "a"), ("n a 1", "n", "a"), ("n a 2", "n", "a"), ("n b 1", "n", "b"), ("m c 1", "m", "c"),
        ("m c 2", "m", "c"),
    ]  # fmt: skip
    await asyncio.gather(*(ask(*one) for one in asks))
    assert had == ["first", "n a 1", "m c 1", "n b 1", "m c 2", "n a 2"]


async def test_who_goes_while_waiting_takes_no_place_along() -> None:
    line = FairLine(1)

    async def ask() -> None:
        async with line.turn("n", "a"):
            pass

    async with line.turn("n", "a"):
        gone, stays, late = (asyncio.create_task(ask()) for _ in range(3))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
    stays.cancel()  # at the moment at which it got its turn
    with contextlib.suppress(asyncio.CancelledError):
        await stays
    async with asyncio.timeout(20):
        await late
        await ask()
