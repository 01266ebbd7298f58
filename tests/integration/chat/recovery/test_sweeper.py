"""Jobs that were lost or never published are published again, with any broker."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from celery import Celery

from accounts.lib.db import in_db
from accounts.lib.redis import sync_redis
from accounts.models import User
from chat.jobs import dispatch, queues
from chat.jobs.dispatch import BrokerAway, enqueue, look_at_queue
from chat.jobs.queues import GENERATE_QUEUE
from chat.recovery import reaper
from chat.recovery.reaper import reap, sweep
from chat.runs.claims import claim
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.run_rows import row, say, shift
from tests.integration.chat.recovery.lost_runs import lose_lease, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has seen of PostgreSQL does not concern the next one."""
    monkeypatch.setattr(reaper._Outage, "seen_at", float("-inf"))


@pytest.fixture
def other_broker(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Celery:
    """A broker that is no Redis: kombu's own, in memory. It says how many jobs wait, and not which is next."""
    app = Celery(broker=f"memory://{uuid.uuid4()}", set_as_current=False)
    for module in (dispatch, queues):
        monkeypatch.setattr(module, "current_app", app)
    settings.CELERY_BROKER_URL = "memory://"
    return app


async def test_the_sweeper_publishes_again_with_any_broker(turn: Accepted, other_broker: Celery) -> None:
    assert await look_at_queue() == dispatch.Queue(known=True), "nothing was ever published"
    await in_db(shift, turn.run_id, enqueued_at=-4)
    await sweep()
    await sweep()
    assert await look_at_queue() == dispatch.Queue(known=True, length=1)


async def test_a_long_queue_of_any_broker_is_left_alone(
    alice: User, layer: None, other_broker: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the queue has passed is published again, and what nobody claims for twice as long each time."""
    lost, claimed, waiting = [(await in_db(say, alice)).run_id for _ in range(3)]
    for run_id, seconds in ((lost, -30), (claimed, -20), (waiting, -10)):
        await in_db(shift, run_id, created_at=seconds, enqueued_at=seconds)
    await in_db(claim, claimed, "w")
    published: list[uuid.UUID] = []

    async def note(run_id: uuid.UUID) -> None:
        published.append(run_id)

    monkeypatch.setattr(reaper, "enqueue", note)
    monkeypatch.setattr(dispatch, "_ask_broker", lambda: dispatch.Queue(known=True, length=2))
    await in_db(shift, waiting, created_at=-10, enqueued_at=-4)  # after 6 s it was published again, 4 s ago
    await sweep()
    assert published == [lost]
    await in_db(shift, waiting, created_at=-14, enqueued_at=-8)
    await sweep()
    assert published == [lost, waiting], "6 s after the message, and again after 6 s"


async def test_a_job_that_the_broker_has_refused_is_published_in_the_next_round(
    turn: Accepted, other_broker: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its run has waited: it was not published, so nothing is to be waited for."""
    published: list[uuid.UUID] = []
    away = True

    async def enqueue_or_fail(run_id: uuid.UUID) -> None:
        if away:
            raise BrokerAway
        published.append(run_id)

    monkeypatch.setattr(reaper, "enqueue", enqueue_or_fail)
    await in_db(shift, turn.run_id, created_at=-40, enqueued_at=-25)
    with pytest.raises(BrokerAway):
        await sweep()
    away = False
    await sweep()
    assert published == [turn.run_id]


async def test_a_broker_that_is_away_holds_up_no_other_run(
    alice: User, layer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt to publish may take seconds, so there is one, after all runs were ended or queued."""
    lost = [(await in_db(say, alice)).run_id for _ in range(3)]
    shown = await in_db(say, alice)
    await announce(shown)
    for run_id in (*lost, shown.run_id):
        await lose_lease(run_id)
    await write(shown, "seen by all", number=2)
    tried: list[list[str]] = []

    async def refuse(_run_id: uuid.UUID) -> None:
        tried.append([(await in_db(row, run_id)).status for run_id in (*lost, shown.run_id)])
        raise BrokerAway

    monkeypatch.setattr(reaper, "enqueue", refuse)
    with pytest.raises(BrokerAway):
        await reap()
    assert tried == [["queued", "queued", "queued", "interrupted"]]
    published: list[uuid.UUID] = []

    async def note(run_id: uuid.UUID) -> None:
        published.append(run_id)

    monkeypatch.setattr(reaper, "enqueue", note)
    for run_id in lost:
        await in_db(shift, run_id, created_at=-5, enqueued_at=-5)
    await sweep()
    assert sorted(published) == sorted(lost), "none of them waits to be looked for"


async def test_the_sweeper_publishes_a_lost_job_once(turn: Accepted) -> None:
    await in_db(shift, turn.run_id, enqueued_at=-5)
    await sweep()
    await sweep()
    assert sync_redis().llen(GENERATE_QUEUE) == 1
    assert (await look_at_queue()).oldest == turn.run_id


async def test_the_sweeper_leaves_a_long_queue_alone(alice: User, layer: None) -> None:
    turns = [await in_db(say, alice) for _ in range(5)]
    for place, one in enumerate(turns):
        await enqueue(one.run_id)
        await in_db(shift, one.run_id, enqueued_at=place - 30)
    await sweep()
    assert sync_redis().llen(GENERATE_QUEUE) == 5, "they wait their turn"
    sync_redis().lpop(GENERATE_QUEUE)  # the youngest is lost, which only shows as time goes by
    sync_redis().rpop(GENERATE_QUEUE)  # the oldest is lost with its worker
    await sweep()
    assert sync_redis().llen(GENERATE_QUEUE) == 4
