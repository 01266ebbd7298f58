"""Rates and connections as they are counted in Redis, and what a client is told over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Generator
from typing import Any

import aiohttp
import pytest
from channels.layers import get_channel_layer
from django.test import Client as Browser

from accounts.lib import rate_limit
from accounts.lib.rate_limit import Limit, parse_rate, required_limits
from accounts.models import User
from chat.channel_layer import StreamingChannelLayer
from chat.protocol.errors import RateLimited
from chat.realtime import rate_limits
from tests.client import Client, Session, session
from tests.conftest import PASSWORD
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

CONNECTIONS, HOUSE = 5, 8


# --- counted exactly --------------------------------------------------------------------------------------------------


async def allowed(wanted: list[Limit], tries: int) -> int:
    async def one() -> bool:
        try:
            await rate_limits.acquire(wanted)
        except RateLimited:
            return False
        return True

    return sum(await asyncio.gather(*(one() for _ in range(tries))))


def in_threads(count: int, work: Any) -> list[Any]:
    """What `work` gives in each of several threads that start together."""
    barrier, results = threading.Barrier(count), []

    def run() -> None:
        barrier.wait()
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_callers_on_many_loops_and_threads_share_one_count(clean_redis: str) -> None:
    wanted = required_limits(("everybody", "25/h"))
    by_loops = in_threads(4, lambda: asyncio.run(allowed(wanted, 10)))
    by_threads = in_threads(4, lambda: rate_limit.try_acquire(wanted) == 0)
    assert sum(by_loops) + sum(by_threads) == 25


async def test_all_are_counted_or_none(clean_redis: str) -> None:
    wide, narrow = required_limits(("wide", "10/h"), ("narrow", "2/h"))
    assert await allowed([wide, narrow], 5) == 2
    assert await allowed([wide], 20) == 8, "what the narrow one refused was not counted in the wide one"


async def test_the_wait_is_what_it_says(clean_redis: str) -> None:
    wanted = required_limits(("short", "2/s"))
    assert await allowed(wanted, 2) == 2
    with pytest.raises(RateLimited) as refused:
        await rate_limits.acquire(wanted)
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 0.6
    await asyncio.sleep(refused.value.retry_after)
    await rate_limits.acquire(wanted)


async def test_a_clock_put_back_shuts_nobody_out(clean_redis: str) -> None:
    [wanted] = required_limits(("clock", "2/s"))
    layer = get_channel_layer()
    await layer.group_execute(rate_limits.GROUP, "SET", "rate:clock", str(int((time.time() + 86_400) * 1e6)))
    with pytest.raises(RateLimited) as refused:
        await rate_limits.acquire([wanted])
    assert refused.value.retry_after is not None
    assert refused.value.retry_after <= 1


async def test_nothing_is_kept_longer_than_it_counts(clean_redis: str) -> None:
    await rate_limits.acquire(required_limits(("a", "100/10s")))
    await rate_limits.connection_counts().enter("one", uuid.UUID(int=5), "192.0.2.1")
    layer = get_channel_layer()
    keys = await layer.group_execute(rate_limits.GROUP, "KEYS", "*")
    assert len(keys) == 3
    for key in keys:
        assert 0 < await layer.group_execute(rate_limits.GROUP, "PTTL", key) <= 30_000
    assert len(await layer.group_execute(rate_limits.GROUP, "GET", "rate:a")) == 16, "all digits of the microseconds"
    rate_limits.connection_counts().leave("one")


# --- Redis away -------------------------------------------------------------------------------------------------------


@pytest.fixture
def dead_layer(monkeypatch: pytest.MonkeyPatch) -> Generator[str, None, None]:
    """A Redis that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        layer = StreamingChannelLayer(hosts=[f"redis://127.0.0.1:{listener.getsockname()[1]}"])
        monkeypatch.setattr(rate_limits, "channel_layer", lambda: layer)
        yield "silent"


async def test_without_redis_everybody_gets_through_and_nobody_waits(dead_layer: str) -> None:
    began = time.monotonic()
    assert await allowed(required_limits(("away", "1/h")), 50) == 50
    assert await rate_limits.connection_counts().enter("lonely", uuid.uuid4(), "192.0.2.1")
    assert time.monotonic() - began < 2 * rate_limits.REDIS_SECONDS
    rate_limits.connection_counts().leave("lonely")


def test_a_thread_gets_through_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(rate_limit, "sync_redis", lambda: redis.Redis(port=port, socket_timeout=1))
    rate = parse_rate("1/h")
    assert rate is not None
    assert [rate_limit.try_acquire([Limit("away", rate)]) for _ in range(3)] == [0, 0, 0]


# --- connections ------------------------------------------------------------------------------------------------------


async def test_the_sockets_of_a_dead_process_are_forgotten(clean_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "FORGET_SECONDS", 1)
    user = uuid.uuid4()
    dead, alive = rate_limits.ConnectionCounts(), rate_limits.ConnectionCounts()
    entered = await asyncio.gather(*(dead.enter(f"dead{n}", user, "") for n in range(25)))
    assert sum(entered) == 20
    assert dead._renewing is not None
    dead._renewing.cancel()
    assert not await alive.enter("alive", user, "")
    await asyncio.sleep(2)
    assert await alive.enter("alive", user, "")
    alive.leave("alive")


async def test_redis_without_its_memory_learns_the_sockets_again(
    clean_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "RENEW_SECONDS", 0.05)
    user, sockets = uuid.uuid4(), rate_limits.ConnectionCounts()
    for number in range(20):
        assert await sockets.enter(str(number), user, "192.0.2.1")
    layer = get_channel_layer()
    await layer.group_execute(rate_limits.GROUP, "FLUSHALL")
    async with asyncio.timeout(5):
        while await layer.group_execute(rate_limits.GROUP, "ZCARD", f"sockets:user:{user.hex}") != 20:
            await asyncio.sleep(0.02)
    assert not await sockets.enter("20", user, "192.0.2.1")
    for number in range(20):
        sockets.leave(str(number))


# --- over a real socket -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack() -> Generator[Stack, None, None]:
    env = {
        "CHAT_MODELS": "small",
        "RATE_FRAMES": "200/s",
        "RATE_COMMANDS": "120/10s",
        "RATE_MESSAGES_PER_USER": "10/h",
        "RATE_CONNECTIONS_PER_USER": str(CONNECTIONS),
        "RATE_CONNECTIONS_PER_ADDRESS": str(HOUSE),
        "RATE_RUNS_PER_USER": "3",
    }
    with stack_with_model(web=2, workers=1, env=env) as (running, _):
        yield running


@contextlib.asynccontextmanager
async def user(stack: Stack, name: str) -> Any:
    async with session(stack.url, f"{name}@example.org") as logged_in:
        yield logged_in


async def test_ten_of_fifteen_parallel_messages_over_two_servers(stack: Stack) -> None:
    async with user(stack, "alice") as alice:
        clients: list[Client] = [await alice.connect(), await alice.connect(at=stack.webs[1].url)]
        # No such conversation: what is counted is the asking, and no answer is in the way.
        nowhere = str(uuid.uuid4())
        replies = await asyncio.gather(*(clients[number % 2].say("Hello", nowhere) for number in range(15)))
        codes = [reply["code"] for reply in replies]
        assert (codes.count("not_found"), codes.count("rate_limited")) == (10, 5)
        assert all(reply["retry_after"] > 300 for reply in replies if reply["code"] == "rate_limited")
        assert (await clients[0].ask("run.stop", run_id=nowhere))["code"] == "not_found", "stopping is counted apart"
        for client in clients:
            await client.close()


async def closed_at_once(logged_in: Session, headers: dict[str, str] | None = None) -> int | None:
    """Opens a socket that is not welcome; its close code."""
    ticket = await logged_in.ticket()
    ws = await logged_in.http.ws_connect(
        logged_in.url.replace("http", "ws", 1) + "/ws/",
        protocols=("chat.v1", f"ticket.{ticket}"),
        origin=logged_in.url,
        headers=headers,
    )
    message = await ws.receive(timeout=5)
    assert message.type is aiohttp.WSMsgType.CLOSE, message
    return ws.close_code


async def test_one_socket_too_many_of_a_user_and_of_an_address(stack: Stack) -> None:
    async with user(stack, "bob") as bob, user(stack, "mallory") as mallory:
        urls = [stack.url, stack.webs[1].url]
        open_ = [await bob.connect(at=urls[number % 2]) for number in range(CONNECTIONS)]
        assert await closed_at_once(bob) == 4429
        open_ += [await mallory.connect() for _ in range(HOUSE - CONNECTIONS)]
        assert await closed_at_once(mallory, {"X-Forwarded-For": "203.0.113.5"}) == 4429, "no proxy is trusted here"
        await open_[0].close()
        async with asyncio.timeout(5):
            while await count(stack, "sockets:address:127.0.0.1") == HOUSE:
                await asyncio.sleep(0.02)
        open_[0] = await mallory.connect()
        for client in open_:
            await client.close()


async def count(stack: Stack, key: str) -> int:
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(stack.redis.url) as client:
        return int(await client.zcard(key))


async def test_a_flood_is_told_then_cut_and_harms_nobody_else(stack: Stack) -> None:
    async with user(stack, "mallory") as mallory, user(stack, "bob") as bob:
        flooding, calm = await mallory.connect(), await bob.connect()
        for number in range(2000):
            await flooding.send("typing", conversation_id=str(uuid.UUID(int=number)))
            if flooding.close_code:
                break
        assert await flooding.closed() == 4429
        told = [frame for frame in flooding.frames if frame.get("code") == "rate_limited"]
        assert told
        assert all(frame["retry_after"] > 0 for frame in told)
        accepted = await calm.say("Still there? [[tokens=3]]")
        assert (await calm.ended(accepted["run_id"]))["ended"] == "run.done"
        await calm.close()


def test_a_ticket_too_many_says_when_to_come_back(clean_redis: str, alice: User, settings: Any) -> None:
    settings.RATE_TICKETS = "2/h"
    browser = Browser()
    assert browser.login(username=alice.email, password=PASSWORD)
    answers = [browser.post("/ws/ticket/", secure=True) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    body = answers[2].json()
    assert body["code"] == "rate_limited"
    assert 1700 < body["retry_after"] <= 1800
    assert answers[2]["Retry-After"] == str(body["retry_after"])
