"""Stop provably stops: whenever an answer is left, the endpoint sees it at once and no connection stays behind."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from tests.fakes.listening import KEY, TIMEOUTS, Endpoints, Heard, ask, connections_in_use, listen
from tests.fakes.openai_connection import Request
from tests.fakes.openai_scripts import answer_text, parse_script
from tests.fakes.openai_server import FakeOpenAI
from workers.providers.openai.client import OpenAIChat

WITHIN = 1.0  # seconds until the endpoint must have seen it


async def assert_left(request: Request, since: float) -> None:
    assert await asyncio.to_thread(request.wait_ended, 3), "the endpoint still writes"
    assert request.disconnected_at is not None, "the answer was finished"
    assert request.disconnected_at - since < WITHIN


async def wait_chats(upstream: FakeOpenAI, count: int = 1) -> list[Request]:
    return await asyncio.to_thread(upstream.wait_chats, count)


async def wait_text(heard: Heard) -> None:
    async with asyncio.timeout(3):
        while not heard.text:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("script", ["accept_delay=30", "first_delay=30", "hang=0"])
async def test_cancel_before_the_first_token(upstream: FakeOpenAI, endpoints: Endpoints, script: str) -> None:
    task = asyncio.create_task(listen(endpoints.open(), script))
    (request,) = await wait_chats(upstream)
    since = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_left(request, since)


@pytest.mark.parametrize("script", ["tokens=10000 rate=100", "tokens=10000 rate=2000", "tokens=9 rate=100 hang=3"])
async def test_cancel_in_the_middle(upstream: FakeOpenAI, endpoints: Endpoints, script: str) -> None:
    heard = Heard()
    task = asyncio.create_task(listen(endpoints.open(), script, heard))
    (request,) = await wait_chats(upstream)
    await wait_text(heard)
    since = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_left(request, since)
    assert answer_text(parse_script(script)).startswith(heard.text)


async def test_cancelled_twice(upstream: FakeOpenAI, endpoints: Endpoints) -> None:
    """The second one arrives while the first one's closing is under way (httpx#3782)."""
    heard = Heard()
    task = asyncio.create_task(listen(endpoints.open(), "tokens=10000 rate=100", heard))
    (request,) = await wait_chats(upstream)
    await wait_text(heard)
    since = time.monotonic()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_left(request, since)


async def test_leaving_by_break(upstream: FakeOpenAI, endpoints: Endpoints) -> None:
    """openai-python#969: leaving the loop must not leave the response open."""
    async with endpoints.open().stream("fake-large", ask("tokens=10000 rate=100")) as answer:
        async for _ in answer:
            break
    since = time.monotonic()
    await assert_left(upstream.chats[0], since)


async def test_leaving_by_an_exception(upstream: FakeOpenAI, endpoints: Endpoints) -> None:
    async def crash() -> None:
        async with endpoints.open().stream("fake-large", ask("tokens=10000 rate=100")) as answer:
            async for _ in answer:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    since = time.monotonic()
    await assert_left(upstream.chats[0], since)


async def test_leaving_without_a_step_sends_nothing(upstream: FakeOpenAI, endpoints: Endpoints) -> None:
    async with endpoints.open().stream("fake-large", ask("tokens=3")):
        pass
    assert not upstream.chats


async def test_no_step_after_leaving(endpoints: Endpoints) -> None:
    async with endpoints.open().stream("fake-large", ask("tokens=3")) as answer:
        pass
    assert [chunks async for chunks in answer] == []


async def test_cancel_while_waiting_to_try_again(upstream: FakeOpenAI, endpoints: Endpoints) -> None:
    task = asyncio.create_task(listen(endpoints.open(), "status=429 retry_after=9"))
    (request,) = await wait_chats(upstream)
    assert await asyncio.to_thread(request.wait_ended, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(upstream.chats) == 1


async def test_cancel_while_connecting(endpoints: Endpoints) -> None:
    """httpcore#1093: a connection cancelled while it is made must not keep its place in the pool."""
    endpoint = endpoints.open("http://192.0.2.1:9/v1")  # an address that is nobody's (RFC 5737)
    task = asyncio.create_task(listen(endpoint))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connections_in_use(endpoint) == 0


async def test_cancel_at_any_moment_leaves_the_pool_whole(upstream: FakeOpenAI, endpoints: Endpoints) -> None:
    endpoint = endpoints.open()
    await listen(endpoint, "tokens=1")
    for step in range(60):
        task = asyncio.create_task(listen(endpoint, "tokens=5 rate=400 accept_delay=0.005"))
        await asyncio.sleep(step * 0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(2):
        while connections_in_use(endpoint):
            await asyncio.sleep(0.01)
    assert (await listen(endpoint, "tokens=2")).text == "tok0 tok1 "


def test_the_same_on_the_workers_loop(upstream: FakeOpenAI) -> None:
    """Workers run uvloop, whose transports close in their own way."""

    async def stop_some() -> None:
        endpoint = OpenAIChat(upstream.url, KEY, timeouts=TIMEOUTS)
        for script in ("accept_delay=30", "hang=0", "tokens=10000 rate=200"):
            before = len(upstream.chats)
            task = asyncio.create_task(listen(endpoint, script))
            request = (await wait_chats(upstream, before + 1))[-1]
            await asyncio.sleep(0.05)
            since = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await assert_left(request, since)
        assert connections_in_use(endpoint) == 0
        await endpoint.close()

    uvloop.run(stop_some())
