"""The order of queued runs while workers are full, and what a job claims then."""

from __future__ import annotations

import json
import uuid
from collections.abc import Container
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.lib.redis import sync_redis
from accounts.models import User
from chat.eventlog import store
from chat.jobs.dispatch import offer
from chat.models import RunStatus
from chat.recovery import positions
from chat.recovery.positions import announce_positions
from chat.runs.claims import claim, requeue
from chat.runs.ending import Ending, end_run
from chat.runs.fair_order import UNWATCHED_SECONDS, next_runs, waiting_runs, watched_first
from tests.fixtures.run_rows import row, say, shift
from workers.runtime.fair_claims import FairClaims

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]


def asked(user: User, *seconds: float) -> list[uuid.UUID]:
    """Runs of conversations of the user's own, asked for so many seconds ago."""
    found = [say(user).run_id for _ in seconds]
    for run_id, ago in zip(found, seconds, strict=True):
        shift(run_id, created_at=-ago, enqueued_at=-ago)
    return found


def in_turn(limit: int = 10) -> list[uuid.UUID]:
    return [run.run_id for run in next_runs(limit)]


def test_everybodys_first_run_comes_before_anybodys_second(alice: User, bob: User) -> None:
    hers, his = asked(alice, 9, 8, 7), asked(bob, 6, 5)
    assert in_turn() == [hers[0], his[0], hers[1], his[1], hers[2]]
    assert in_turn(2) == [hers[0], his[0]]
    assert [one.run_id for one in waiting_runs(6.5)] == in_turn()
    assert waiting_runs(60) == []


def test_what_nobody_follows_comes_after_what_somebody_does_but_not_for_ever(alice: User, bob: User) -> None:
    hers, his = asked(alice, 9, 8), asked(bob, UNWATCHED_SECONDS + 5, 6)
    runs = next_runs(10)
    assert [run.run_id for run in runs] == [his[0], hers[0], hers[1], his[1]]
    nobody = {row(run_id).conversation_id for run_id in (hers[0], *his)}
    assert [run.run_id for run in watched_first(runs, nobody)] == [his[0], hers[1], hers[0], his[1]]
    assert watched_first(runs, set()) == runs


def test_what_has_begun_since_and_what_is_in_progress_counts(alice: User, bob: User) -> None:
    hers, his = asked(alice, 60, 9, 8), asked(bob, 7)
    claim(hers[0], "w")
    assert in_turn() == [his[0], *hers[1:]]
    claim(his[0], "w")
    [later] = asked(bob, 1)
    assert in_turn() == [hers[1], later, hers[2]], "each has one in progress"
    assert end_run(hers[0], 1, RunStatus.DONE, Ending("A"), owner="w") is not None
    assert in_turn() == [hers[1], later, hers[2]], "it ended while the others waited"


def test_what_was_queued_again_has_its_turn_once_it_is_offered(alice: User) -> None:
    """Not before its events, which come before its job is published."""
    again, new = asked(alice, 9, 8)
    claim(again, "w")
    assert requeue(again, 1, owner="w") is not None
    assert in_turn() == [new]
    assert [one.run_id for one in waiting_runs(0)] == [again, new], "it waits all the same"
    offer(again)
    assert in_turn() == [again, new]
    claim(again, "w")
    assert requeue(again, 2, owner="w") is not None
    assert in_turn() == [new], "that was for the attempt before"


def claims(unwatched: Container[uuid.UUID] = ()) -> FairClaims:
    return FairClaims("w", lambda model: None, lambda conversations: unwatched)


def test_a_job_claims_its_own_run_while_nobody_waits(alice: User, bob: User) -> None:
    [first], [his] = asked(alice, 9), asked(bob, 0)
    found = claims().claim(his, row(his).created_at.timestamp(), waited=False)
    assert found is not None
    assert found.run.id == his
    assert row(first).status == "queued"


@pytest.mark.parametrize(("late", "waited"), [(0.0, True), (5.0, False)], ids=["waited", "late"])
def test_a_job_that_waited_claims_the_run_whose_turn_it_is(alice: User, bob: User, late: float, waited: bool) -> None:
    """The job of the other run, which comes later, claims the one that was passed over; nothing is left."""
    hers, his = asked(alice, 9, 8), asked(bob, 7)
    claim(hers[0], "w")
    fair, published = claims(), row(his[0]).created_at.timestamp() + 7 - late
    before = row(hers[1]).enqueued_at
    first = fair.claim(hers[1], published, waited=waited)
    assert first is not None
    assert first.run.id == his[0]
    passed = row(hers[1])
    assert (passed.status, passed.attempt) == ("queued", 0)
    assert before is not None
    assert passed.enqueued_at is not None
    assert passed.enqueued_at > before, "its job is not lost"
    second = fair.claim(his[0], published, waited=waited)
    assert second is not None
    assert second.run.id == hers[1]
    assert fair.claim(his[0], published, waited=waited) is None


def test_a_job_of_its_own_run_claims_no_other(alice: User, bob: User) -> None:
    [hers], [his] = asked(alice, 9), asked(bob, 1)
    fair = claims()
    found = fair.claim(his, None, waited=True)
    assert found is not None
    assert found.run.id == his
    assert fair.claim(his, None, waited=True) is None
    assert row(hers).status == "queued"


def test_a_worker_claims_what_somebody_follows_first(alice: User, bob: User) -> None:
    [hers], [his] = asked(alice, 9), asked(bob, 5)
    fair = claims({row(hers).conversation_id})
    found = fair.claim(hers, row(hers).created_at.timestamp(), waited=True)
    assert found is not None
    assert found.run.id == his


def test_two_hundred_of_one_user_hold_up_no_other_one_in_any_worker(alice: User, bob: User) -> None:
    """Neither a new answer nor one that was queued again, whose job comes after all of hers."""
    hers, [his, his_again] = asked(alice, *range(400, 200, -2)), asked(bob, 3, 2)
    claim(his_again, "w")
    assert requeue(his_again, 1, owner="w") is not None
    offer(his_again)
    workers = [claims(), claims()]
    claimed = [workers[n % 2].claim(hers[n], row(hers[n]).created_at.timestamp(), waited=True) for n in range(6)]
    order = [one.run.id for one in claimed if one is not None]
    assert len(order) == 6
    assert order[:4] == [hers[0], his, hers[1], his_again]
    assert set(order[4:]) == {hers[2], hers[3]}


async def test_those_who_wait_are_told_how_many_are_before_them(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers, his = await in_db(asked, alice, 9, 8), await in_db(asked, bob, 7)
    told: list[tuple[str, dict[str, Any]]] = []

    async def group_send(_: Any, group: str, message: dict[str, Any]) -> None:
        assert message["type"] == "ephemeral"
        told.append((group, json.loads(message["frame"])))

    monkeypatch.setattr(type(store.channel_layer()), "group_send", group_send)
    await in_db(sync_redis().delete, positions._ANNOUNCED)
    await announce_positions()
    await announce_positions()  # another process: it was done just now
    assert [(frame["run_id"], frame["before"]) for _, frame in told] == [
        (str(hers[0]), 0), (str(his[0]), 1), (str(hers[1]), 2),
    ]  # fmt: skip
    run = await in_db(row, hers[0])
    assert told[0] == (
        store.group_name(run.conversation_id),
        {
            "type": "run.position",
            "conversation_id": str(run.conversation_id),
            "run_id": str(run.pk),
            "message_id": str(run.message_id),
            "before": 0,
        },
    )


async def test_far_behind_one_is_told_now_and_then(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_db(asked, alice, 9, 8, 7, 6)
    told: list[int] = []

    async def group_send(_: Any, group: str, message: dict[str, Any]) -> None:
        told.append(json.loads(message["frame"])["before"])

    monkeypatch.setattr(type(store.channel_layer()), "group_send", group_send)
    monkeypatch.setattr(positions, "OFTEN", 1)
    await in_db(sync_redis().delete, positions._ANNOUNCED)
    await announce_positions(5)
    assert told == [0, 3]
