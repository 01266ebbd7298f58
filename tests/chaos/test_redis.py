"""Redis that dies, comes back empty, hangs, or hangs up (R6, R7)."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import redis

from config.stack.valkey import PrivateValkey
from tests.chaos.driving import Scene, answer, poll, scene
from tests.chaos.proxy import FaultProxy
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Generator[FaultProxy, None, None]:
    """A Redis of this module's own behind a proxy."""
    folder = Path(tmp_path_factory.mktemp("redis"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = PrivateValkey(folder / "r", options=["--port", str(port), "--bind", "127.0.0.1"])  # replicas come by TCP
    server.start()
    made = FaultProxy(server, folder / "p.sock")
    made.start()
    yield made
    made.stop()
    made.server.stop()


@pytest.fixture(scope="module")
def system(proxy: FaultProxy) -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    env = {"REDIS_URL": proxy.url, "RUN_LEASE_SECONDS": "5"}
    with stack_with_model(web=2, workers=1, env=env) as running:
        yield running


async def crowd(here: Scene, runs: int, tokens: int, rate: int) -> list[tuple[Any, dict[str, Any]]]:
    """Conversations with an answer under way, each watched by its sender and, elsewhere, by somebody who came later."""
    found = []
    for number in range(runs):
        sender = await here.connect(at=here.stack.webs[number % 2].url)
        accepted = await here.say(sender, f"Crowd {number} [[tokens={tokens} rate={rate}]]")
        await sender.shows(accepted["run_id"], 20)
        other = await here.connect(at=here.stack.webs[1 - number % 2].url)
        await other.ask("subscribe", conversation_id=accepted["conversation_id"])
        found.append((sender, accepted))
        found.append((other, accepted))
    return found


async def test_r6_redis_comes_back_empty(system: tuple[Stack, FakeOpenAI], proxy: FaultProxy) -> None:
    """SHUTDOWN NOSAVE in the middle of answers, a second of nothing, then a new and empty server."""
    stack, _ = system
    async with scene(stack) as here:
        watching = await crowd(here, 6, tokens=250, rate=50)
        short = [await here.say(watching[0][0], f"Short {n} [[tokens=60 rate=60]]") for n in range(2)]  # end meanwhile
        proxy.server.kill()
        client_id = str(uuid.uuid4())
        during = await watching[0][0].say("During [[tokens=5]]", client_id=client_id)
        assert during.get("code") == "unavailable", during
        proxy.server.start()
        back = time.monotonic()
        for client, accepted in watching:
            run = await client.ended(accepted["run_id"], seconds=20)
            assert (run["ended"], run["text"]) == ("run.done", answer(250))
        for accepted in short:
            assert (await watching[0][0].ended(accepted["run_id"]))["text"] == answer(60)
        views = [client.views[accepted["conversation_id"]] for client, accepted in watching]
        assert all(view.resets for view in views), "everybody was told that the log was lost"
        late = max(client.times[-1] for client, _ in watching) - back
        again = await watching[0][0].say("During [[tokens=5]]", client_id=client_id)
        assert again["type"] == "message.accepted", again
        assert (await watching[0][0].ended(again["run_id"]))["text"] == answer(5)
        new = await here.say(watching[1][0], "After [[tokens=3]]")
        await watching[1][0].ended(new["run_id"])
        measured("R6 redis comes back empty", round(late, 1))
        await here.judge()


async def test_r7_redis_is_a_black_hole(system: tuple[Stack, FakeOpenAI], proxy: FaultProxy) -> None:
    """Nothing passes for eight seconds, longer than any timeout; then all connections are new."""
    stack, _ = system
    async with scene(stack) as here:
        watching = await crowd(here, 3, tokens=300, rate=50)
        sender = watching[0][0]
        short = [await here.say(sender, f"Short {n} [[tokens=50 rate=60]]") for n in range(2)]  # end without the log
        for accepted in short:
            await sender.shows(accepted["run_id"], 20)
        proxy.toxic("timeout")
        began = time.monotonic()
        client_id = str(uuid.uuid4())
        reply = await sender.say("Into the hole [[tokens=7]]", client_id=client_id)
        answered = time.monotonic() - began
        assert reply.get("code") == "unavailable", reply
        assert answered < 6, "a command is answered, whatever is down"
        status = await asyncio.to_thread(stack.webs[0].status, "/livez")
        assert status == 200, "the loop turns"
        assert await asyncio.to_thread(stack.webs[0].status) == 503
        await asyncio.sleep(max(0, 8 - (time.monotonic() - began)))
        proxy.heal()
        back = time.monotonic()
        for client, accepted in watching:
            run = await client.ended(accepted["run_id"], seconds=20)
            assert (run["ended"], run["text"]) == ("run.done", answer(300))
        late = max(client.times[-1] for client, _ in watching) - back
        for accepted in short:
            assert (await sender.ended(accepted["run_id"]))["text"] == answer(50)
        again = await poll_say(sender, "Into the hole [[tokens=7]]", client_id)
        assert (await sender.ended(again["run_id"]))["text"] == answer(7)
        await poll(lambda: stack.webs[0].status() == 200, "200 from /readyz")
        measured("R7 redis is a black hole", round(late, 1))
        await here.judge()


@pytest.mark.parametrize("toxic", ["reset_peer", "down"])
async def test_r7_connections_are_cut(system: tuple[Stack, FakeOpenAI], proxy: FaultProxy, toxic: str) -> None:
    """As in a failover: everybody is cut off, for a moment nobody answers, and the memory is still there."""
    stack, _ = system
    async with scene(stack) as here:
        watching = await crowd(here, 2, tokens=120, rate=60)
        proxy.toxic(toxic)
        await asyncio.sleep(0.5)
        proxy.heal()
        for client, accepted in watching:
            assert (await client.ended(accepted["run_id"]))["text"] == answer(120)
        new = await poll_say(watching[0][0], "After [[tokens=3]]", str(uuid.uuid4()))
        await watching[0][0].ended(new["run_id"])
        await here.judge()


async def test_r7_a_replica_takes_over(system: tuple[Stack, FakeOpenAI], proxy: FaultProxy) -> None:
    """It lacks the last half second of what the primary had confirmed: events, and a message that was accepted."""
    stack, _ = system
    primary = proxy.server
    replica = PrivateValkey(primary.folder.parent / "r2", options=["--replicaof", "127.0.0.1", primary.options[1]])
    await asyncio.to_thread(replica.start)
    of_primary, of_replica = (redis.Redis(unix_socket_path=str(one.socket)) for one in (primary, replica))
    await poll(lambda: of_replica.info("replication")["master_link_status"] == "up", "replica in step")
    async with scene(stack) as here:
        watching = await crowd(here, 4, tokens=300, rate=60)
        before = [client.views[accepted["conversation_id"]].epoch for client, accepted in watching]
        assert of_primary.wait(1, 2000) == 1, "the replica has what there was"
        of_replica.replicaof("NO", "ONE")
        lost = await here.say(watching[0][0], "In the gap [[tokens=4]]")
        for client, accepted in watching:
            shown = len(client.shown(accepted["run_id"]))
            await client.shows(accepted["run_id"], shown + 100)
        primary.kill()
        proxy.server = replica
        await asyncio.to_thread(proxy.toxic, "reset_peer")
        await asyncio.to_thread(proxy.heal)
        over = time.monotonic()
        for client, accepted in watching:
            run = await client.ended(accepted["run_id"])
            assert (run["ended"], run["text"]) == ("run.done", answer(300))
        assert (await watching[0][0].ended(lost["run_id"]))["text"] == answer(4)
        measured("R7 a replica takes over", round(time.monotonic() - over, 1))
        after = [client.views[accepted["conversation_id"]].epoch for client, accepted in watching]
        assert not set(before) & set(after), "everybody was told that the log is another"
        new = await poll_say(watching[1][0], "After [[tokens=3]]", str(uuid.uuid4()))
        await watching[1][0].ended(new["run_id"])
        await here.judge()
    of_primary.close()
    of_replica.close()


async def poll_say(client: Any, text: str, client_id: str) -> dict[str, Any]:
    """Sends until it is accepted, as the page does."""
    for _ in range(20):
        reply: dict[str, Any] = await client.say(text, client_id=client_id)
        if reply["type"] == "message.accepted":
            return reply
        assert reply["code"] == "unavailable", reply
        await asyncio.sleep(0.3)
    raise TimeoutError("it stays unavailable")
