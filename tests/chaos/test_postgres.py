"""PostgreSQL that is killed and comes back, under load (R8)."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Generator
from typing import Any

import pytest

from config.stack import leash
from tests.chaos.driving import answer, poll, scene
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")


@pytest.fixture(scope="module")
def system() -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    with stack_with_model(web=1, workers=1, own_postgres=True) as (stack, upstream):
        # The tests' servers trade safety for speed; here a commit has to be one. Sessions that are open end, and the
        # pools have to notice that too.
        stack.sql(f'ALTER DATABASE "{stack.database}" SET synchronous_commit = on')
        stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        yield stack, upstream


async def test_r8_postgres_restarts_at_once(system: tuple[Stack, FakeOpenAI]) -> None:
    """Immediate shutdown while answers stream and messages come in: each is answered, or refused and sent again."""
    stack, _ = system
    web = stack.webs[0]
    async with scene(stack) as here:
        client, sender = await here.connect(), await here.connect()
        running = [await here.say(client, f"Before {n} [[tokens=300 rate=50]]") for n in range(5)]
        for accepted in running:
            await client.shows(accepted["run_id"], 20)
        replies: list[tuple[float, dict[str, Any]]] = []
        over = asyncio.Event()

        async def send(number: int) -> dict[str, Any]:
            """One message, sent until it is accepted, as the page does."""
            client_id = str(uuid.uuid4())
            while True:
                began = time.monotonic()
                reply = await sender.say(f"Load {number} [[tokens=3]]", client_id=client_id)
                replies.append((time.monotonic() - began, reply))
                if reply["type"] == "message.accepted":
                    return reply
                assert reply["code"] == "unavailable", reply
                await asyncio.sleep(0.2)

        async def load() -> list[dict[str, Any]]:
            number, sent = 0, []
            while not over.is_set():
                sent += await asyncio.gather(*(send(number + place) for place in range(3)))
                number += 3
                await asyncio.sleep(0.1)
            return sent

        loading = asyncio.create_task(load())
        await poll(lambda: len(replies) >= 6, "messages under way")
        assert stack.postgres.process is not None
        leash.end(stack.postgres.process, sig=signal.SIGQUIT)
        gone = len(replies)
        await poll(lambda: web.status() == 503, "503 from /readyz", 6)
        await poll(lambda: any(reply.get("code") == "unavailable" for _, reply in replies[gone:]), "a refusal", 7)
        stack.postgres.start()
        back = time.monotonic()
        await poll(lambda: web.status() == 200, "200 from /readyz", 10)
        measured("R8 ready again", round(time.monotonic() - back, 1))
        before = len(replies)
        await poll(
            lambda: any(reply["type"] == "message.accepted" for _, reply in replies[before:]), "a message taken", 10
        )
        measured("R8 a message taken again", round(time.monotonic() - back, 1))
        over.set()
        sent = await loading
        assert max(took for took, _ in replies) < 6, "nobody waits for ever"
        for accepted in [*running, *sent]:
            run = await (client if accepted in running else sender).ended(accepted["run_id"])
            assert (run["ended"], run["text"]) == ("run.done", answer(300 if accepted in running else 3))
        await here.judge()
