"""Sentinel's failover under load: the primary is killed while answers stream, and HAProxy leads to the new one.

With the users, the sentinels' file and HAProxy's file of deploy/redis as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass

import pytest
import redis

from tests.chaos.driving import answer, poll, scene
from tests.deployment import servers
from tests.deployment.closing import let_connections_close
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.rabbitmq import free_ports
from tests.stack import Stack

__all__ = ["let_connections_close"]  # for the tests here
pytestmark = [
    pytest.mark.asyncio(loop_scope="function"),
    pytest.mark.skipif(
        not servers.installed("haproxy"), reason="haproxy is not installed (Debian: apt install haproxy)"
    ),
    pytest.mark.timeout(240),
]


@dataclass
class Pair:
    """A primary and its replica, at the ports `one` and `two`, three sentinels, and HAProxy."""

    one: int
    two: int
    primary: servers.Server
    leading: servers.Server

    def role(self, port: int) -> str:
        client = redis.Redis(port=port, username="antiphon", password=servers.REDIS_PASSWORD, socket_timeout=2)
        try:
            return str(client.role()[0].decode())
        except redis.RedisError:
            return ""
        finally:
            client.close()

    def led_to(self) -> int:
        """The port of the server that a new connection reaches."""
        client = redis.Redis(port=self.leading.port, username="antiphon", password=servers.REDIS_PASSWORD)
        try:
            return int(client.info("server")["tcp_port"])
        finally:
            client.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pair, None, None]:
    folder = tmp_path_factory.mktemp("sentinel")
    one, two = free_ports(2)
    primary = servers.valkey(folder / "one", one)
    replica = servers.valkey(folder / "two", two, "--replicaof", "127.0.0.1", str(one))
    leading = servers.haproxy(folder / "haproxy", one, two)
    watching = [servers.sentinel(folder / f"sentinel{number}", one) for number in range(3)]
    with contextlib.ExitStack() as ending:
        for server in (primary, replica, *watching, leading):
            ending.callback(server.stop)
            server.start()
        yield Pair(one, two, primary, leading)


@pytest.fixture(scope="module")
def system(pair: Pair) -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    url = f"redis://antiphon:{servers.REDIS_PASSWORD}@127.0.0.1:{pair.leading.port}/0"
    deadline = time.monotonic() + 45
    while True:
        try:
            with contextlib.closing(redis.Redis.from_url(url, socket_timeout=2)) as client:
                if client.ping() and client.info("replication")["connected_slaves"] == 1:
                    break
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, "HAProxy leads to the primary, and the replica follows it"
        time.sleep(0.2)
    with stack_with_model(web=2, workers=1, env={"REDIS_URL": url, "RUN_LEASE_SECONDS": "4"}) as running:
        yield running


async def test_answers_survive_the_end_of_the_primary(system: tuple[Stack, FakeOpenAI], pair: Pair) -> None:
    stack, _ = system
    async with scene(stack) as here:
        client = await here.connect()
        long = [await here.say(client, f"Long {number} [[tokens=900 rate=30]]") for number in range(3)]
        for accepted in long:
            await client.shows(accepted["run_id"], 20)
        pair.primary.kill()
        killed = time.monotonic()
        await poll(lambda: pair.role(pair.two) == "master", "new primary", 40)
        await poll(lambda: stack.webs[0].status() == 200, "readiness", 30)
        measured("seconds until a replica had taken over, and was used", round(time.monotonic() - killed, 1))
        client = client if client.close_code is None else await here.connect(views=client.views)
        for accepted in long:
            run = await client.ended(accepted["run_id"], 60)
            assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(900))
        after = await here.say(client, "After [[tokens=5]]")
        assert (await client.ended(after["run_id"]))["text"] == answer(5)
        await asyncio.to_thread(pair.primary.start)  # empty, and sure to be the primary
        assert pair.role(pair.one) == "master", "the test needs two that say so"
        while await asyncio.to_thread(pair.role, pair.one) == "master":  # until a sentinel tells it
            assert await asyncio.to_thread(pair.led_to) == pair.two
            await asyncio.sleep(0.2)
        assert await asyncio.to_thread(pair.led_to) == pair.two
        again = await here.say(client, "Again [[tokens=5]]")
        assert (await client.ended(again["run_id"]))["text"] == answer(5)
        await here.judge(40)
    for process in stack.processes:
        assert "NOPERM" not in process.output(), process.name
