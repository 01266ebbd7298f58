"""RabbitMQ as Celery's broker: away, back, back without its jobs, and closing the channel of a full worker (R20)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator

import pytest

from tests.chaos.driving import answer, scene
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.rabbitmq import PrivateRabbitMQ, is_installed
from tests.stack import Stack

pytestmark = [
    pytest.mark.asyncio(loop_scope="function"),
    pytest.mark.skipif(not is_installed(), reason="rabbitmq-server is not installed"),
]

STREAMS = 6  # of the one worker
# It closes a channel whose consumer acknowledges nothing for so long; 30 minutes without this. Milliseconds.
IMPATIENT = {"consumer_timeout": 4000, "channel_tick_interval": 1000}
BACK_SECONDS = 30.0  # at most, on a busy machine, until what waited for the broker has been answered


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Generator[PrivateRabbitMQ, None, None]:
    made = PrivateRabbitMQ(tmp_path_factory.mktemp("rabbitmq"), IMPATIENT)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def system(broker: PrivateRabbitMQ) -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    env = {"CELERY_BROKER_URL": broker.url, "RUN_LEASE_SECONDS": "4", "WORKER_STREAMS": str(STREAMS)}
    with stack_with_model(web=1, workers=1, env=env) as running:
        yield running


@pytest.mark.parametrize("empty", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_r20_rabbitmq_is_away(system: tuple[Stack, FakeOpenAI], broker: PrivateRabbitMQ, empty: bool) -> None:
    """Messages are accepted meanwhile, answers go on, and what waited is answered once it is back."""
    stack, _ = system
    async with scene(stack) as here:
        client = await here.connect()
        before = await here.say(client, "Before [[tokens=5]]")
        await client.ended(before["run_id"])
        long = await here.say(client, "Long [[tokens=300 rate=30]]")
        await client.shows(long["run_id"], 20)
        broker.kill()
        if empty:
            broker.forget()
        during = [await here.say(client, f"During {number} [[tokens=5]]") for number in range(8)]
        assert stack.webs[0].status() == 200, "messages are taken without it"
        await asyncio.sleep(8 if empty else 3)
        await asyncio.to_thread(broker.start)
        back = time.monotonic()
        for accepted in during:
            run = await client.ended(accepted["run_id"], BACK_SECONDS)
            assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(5))
        measured(f"R20 RabbitMQ is back{', empty' if empty else ''}", round(time.monotonic() - back, 1))
        run = await client.ended(long["run_id"])
        assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(300))
        await here.judge()
    for process in (stack.webs[0], stack.workers[0]):
        assert '"recovery_failed"' not in process.output()
        assert '"maintenance_step_failed"' not in process.output()


@pytest.mark.long
async def test_r20_a_full_worker_survives_the_end_of_its_channel(system: tuple[Stack, FakeOpenAI]) -> None:
    """Jobs that wait for a free place are not acknowledged, and RabbitMQ closes the channel: the worker goes on."""
    stack, _ = system
    [worker] = stack.workers
    before = worker.pid
    async with scene(stack) as here:
        client = await here.connect()
        running = [await here.say(client, f"Long {n} [[tokens=400 rate=40]]") for n in range(STREAMS)]
        for accepted in running:
            await client.shows(accepted["run_id"], 20)
        waiting = [await here.say(client, f"Waiting {n} [[tokens=5]]") for n in range(4)]
        for accepted in running:
            assert (await client.ended(accepted["run_id"], 40))["text"] == answer(400)
        for accepted in waiting:
            run = await client.ended(accepted["run_id"], BACK_SECONDS)
            assert (run["ended"], run["attempt"]) == ("run.done", 1)
        assert "delivery acknowledgement on channel" in worker.output(), "the test needs a channel that was closed"
        for number in range(2 * STREAMS):  # it takes new jobs, however many it has had since
            later = await here.say(client, f"Later {number} [[tokens=5]]")
            run = await client.ended(later["run_id"], BACK_SECONDS)
            assert (run["ended"], run["attempt"]) == ("run.done", 1)
        assert not worker.has_ended()
        assert worker.pid == before
        await here.judge()


@pytest.mark.long
async def test_r20_the_runs_of_a_killed_worker_go_on(system: tuple[Stack, FakeOpenAI], broker: PrivateRabbitMQ) -> None:
    """The worker is killed while the broker is away: the web process queues its silent runs for the next worker."""
    stack, _ = system
    [worker] = stack.workers
    async with scene(stack) as here:
        client = await here.connect()
        silent = [await here.say(client, f"Silent {n} [[tokens=5 first_delay=3]]") for n in range(4)]
        shown = await here.say(client, "Shown [[tokens=600 rate=30]]")
        await client.shows(shown["run_id"], 20)
        broker.kill()
        worker.kill()
        worker.stop()
        run = await client.ended(shown["run_id"], BACK_SECONDS)
        assert (run["ended"], run["final"]["code"]) == ("run.interrupted", "worker_lost")
        worker.start()
        await asyncio.to_thread(broker.start)
        back = time.monotonic()
        await asyncio.to_thread(worker.await_ready)
        for accepted in silent:
            run = await client.ended(accepted["run_id"], BACK_SECONDS)
            assert (run["ended"], run["text"]) == ("run.done", answer(5))
        measured("R20 the runs of a killed worker", round(time.monotonic() - back, 1))
        await here.judge()
