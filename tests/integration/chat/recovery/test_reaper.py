"""Recovery step by step, on a real PostgreSQL and Redis, with no process but this one."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections
from django.db.backends.postgresql.base import DatabaseWrapper

from accounts.lib.db import in_db
from accounts.models import User
from chat.eventlog import events, store
from chat.jobs.dispatch import look_at_queue
from chat.models import Reasoning, RunStatus
from chat.recovery import reaper
from chat.recovery.reaper import reap
from chat.runs.claims import MAX_ATTEMPTS, Checkpoint, checkpoint, claim, renew, requeue
from chat.runs.ending import Ending, end_run
from chat.runs.overdue import give_up, take_expired
from chat.turns.accepted import Accepted
from chat.turns.stop import request_stop
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.run_rows import row, say, shift
from tests.integration.chat.recovery.lost_runs import ANNOUNCED_AND_LOST, kinds, lose_lease, write

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_people_have_seen_is_kept(turn: Accepted) -> None:
    """No checkpoint had been made: the text is in the log only."""
    await announce(turn)
    await lose_lease(turn.run_id)
    await write(turn, "seen by all", number=2)
    await reap()
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("interrupted", "worker_lost", "seen by all")
    assert run.ended_in_log
    last = (await logged(turn))[-1]
    assert (last["type"], last["text_length"]) == ("run.interrupted", 11)


async def test_thinking_alone_goes_to_the_next_worker_and_is_dropped(turn: Accepted) -> None:
    await announce(turn)
    await lose_lease(turn.run_id)
    await write(turn, "hm, well", number=2, thinking=True)
    here, _ = await store.position(turn.conversation_id)
    point = Checkpoint(turn.run_id, 1, here.epoch, here.seq, "", reasoning="hm, well", reasoning_ms=900)
    assert await in_db(checkpoint, [point], "w") == {turn.run_id}
    run = await in_db(row, turn.run_id)
    assert (run.reasoning_chars, run.reasoning_ms, run.checkpoint_seq) == (8, 900, here.seq)
    await reap()
    run = await in_db(row, turn.run_id)
    assert (run.status, run.reasoning_chars, run.reasoning_ms, run.checkpoint_seq) == ("queued", 0, 0, 0)
    assert not await in_db(Reasoning.objects.filter(run=turn.run_id).exists)
    assert kinds(await logged(turn))[-2:] == ["run.interrupted", "run.queued"]


async def test_thinking_beyond_the_checkpoint_is_kept_with_the_text(turn: Accepted) -> None:
    await announce(turn)
    await lose_lease(turn.run_id)
    await write(turn, "hm, well", number=2, thinking=True)
    await write(turn, "yes", number=3)
    await reap()
    run = await in_db(row, turn.run_id)
    assert (run.status, run.message.text, run.reasoning_chars) == ("interrupted", "yes", 8)
    assert (await in_db(Reasoning.objects.get, run=turn.run_id)).text == "hm, well"
    assert run.reasoning_tokens == 2
    assert run.output_tokens == 3, "thinking counts as output"
    last = (await logged(turn))[-1]
    assert (last["type"], last["text_length"], last["reasoning"]["length"]) == ("run.interrupted", 3, 8)


async def test_a_worker_that_was_only_slow_writes_nothing_behind_the_end(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back between the reading of its text and the commit: the text that users see must be the one stored."""
    await announce(turn)
    await lose_lease(turn.run_id)
    await write(turn, "seen by all", number=2)
    read_texts = reaper._texts_in_log
    late: list[store.Appended] = []

    async def read_and_write(run: Any) -> tuple[str, str]:
        text, reasoning = await read_texts(run)
        delta = events.run_delta(str(turn.conversation_id), str(turn.run_id), 1, len(text), ", and more")
        late.extend(await store.append(store.Append(turn.conversation_id, [delta], turn.run_id, 1, 3)))
        return text, reasoning

    monkeypatch.setattr(reaper, "_texts_in_log", read_and_write)
    await reap()
    assert [one.fenced for one in late] == [True]
    assert (await in_db(row, turn.run_id)).message.text == "seen by all"
    assert kinds(await logged(turn))[-2:] == ["run.delta", "run.interrupted"]


async def test_a_lease_is_taken_from_its_worker_before_its_text_is_read(turn: Accepted) -> None:
    await lose_lease(turn.run_id)
    [taken] = await in_db(take_expired, "reaper", 5)
    assert taken.run_id == turn.run_id
    assert await in_db(renew, [turn.run_id], "w") == []
    assert await in_db(end_run, turn.run_id, 1, RunStatus.DONE, Ending("late"), owner="w") is None
    assert await in_db(take_expired, "another", 5) == []
    await in_db(give_up, turn.run_id, "reaper")
    assert [one.run_id for one in await in_db(take_expired, "another", 5)] == [turn.run_id]


async def test_after_an_outage_of_postgresql_living_workers_renew_first(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lose_lease(turn.run_id)
    monkeypatch.setattr(reaper._Outage, "seen_at", time.monotonic())
    await reap()
    assert (await in_db(row, turn.run_id)).lease_owner == "w"
    monkeypatch.setattr(reaper._Outage, "seen_at", time.monotonic() - reaper.GRACE_SECONDS)
    await reap()
    assert (await in_db(row, turn.run_id)).status == "queued"


def connected() -> psycopg.Connection:
    """A connection beside the pool of this process."""
    params = DatabaseWrapper.get_connection_params(connections["default"])  # ours are with the pool
    return psycopg.connect(**params | {"cursor_factory": psycopg.Cursor})


@pytest.mark.parametrize(("table", "mode"), [("chat_run", "SHARE"), ("chat_message", "ACCESS EXCLUSIVE")])
async def test_after_a_table_was_locked_living_workers_renew_first(turn: Accepted, table: str, mode: str) -> None:
    """As by a migration. The reaper waits for the lock as they do, and must not be the first."""
    await lose_lease(turn.run_id)
    with connected() as other:
        other.execute(f"LOCK TABLE {table} IN {mode} MODE")
        reaping = asyncio.create_task(reap())
        await asyncio.sleep(reaper.SLOW_SECONDS + 0.3)
        assert not reaping.done()
    await reaping
    assert (await in_db(row, turn.run_id)).lease_owner == "w"


async def test_a_locked_row_holds_up_no_other_run(alice: User, layer: None) -> None:
    """Somebody's transaction has the message of the first run for long: its run waits, those after it do not."""
    lost = [await in_db(say, alice) for _ in range(2)]
    for turn in lost:
        await lose_lease(turn.run_id)
    locked = (await in_db(row, lost[0].run_id)).message_id
    with connected() as other:
        other.execute("SELECT FROM chat_message WHERE id = %s FOR UPDATE", [locked])
        await reap()
        assert [(await in_db(row, turn.run_id)).status for turn in lost] == ["running", "queued"]
    await reap()
    assert (await in_db(row, lost[0].run_id)).status == "queued"


async def test_a_run_that_cannot_be_ended_now_holds_up_no_other_run(
    alice: User, layer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a row of its user's quotas is locked: a statement waits for it and fails."""
    lost = [(await in_db(say, alice)).run_id for _ in range(2)]
    for run_id in lost:
        await lose_lease(run_id)

    def requeue_or_fail(run_id: uuid.UUID, *args: Any, **options: Any) -> Any:
        if run_id == lost[0]:
            raise OperationalError("canceling statement due to lock timeout")
        return requeue(run_id, *args, **options)

    monkeypatch.setattr(reaper, "requeue", requeue_or_fail)
    await reap()
    assert [(await in_db(row, run_id)).status for run_id in lost] == ["running", "queued"]
    monkeypatch.setattr(reaper, "requeue", requeue)
    await reap()
    assert (await in_db(row, lost[0])).status == "queued", "its lease was given up, so nobody waits for it"


async def test_what_showed_nothing_gets_another_attempt_in_order(turn: Accepted) -> None:
    await announce(turn)
    await lose_lease(turn.run_id)
    await reap()
    assert kinds(await logged(turn)) == ANNOUNCED_AND_LOST
    assert (await in_db(row, turn.run_id)).status == "queued"
    assert (await look_at_queue()).oldest == turn.run_id


async def test_the_third_loss_is_the_end(turn: Accepted) -> None:
    for _ in range(MAX_ATTEMPTS):
        await lose_lease(turn.run_id)
        await reap()
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.attempt) == ("failed", "attempts_exhausted", MAX_ATTEMPTS)
    assert [event["attempt"] for event in await logged(turn) if event["type"] in ("run.interrupted", "run.failed")] == [
        1,
        2,
        3,
    ]


async def test_a_stop_wins_over_another_attempt(turn: Accepted) -> None:
    await lose_lease(turn.run_id)
    await in_db(shift, turn.run_id, stop_requested_at=0)
    await reap()
    assert (await in_db(row, turn.run_id)).status == "stopped"


async def test_many_reapers_end_a_run_once(turn: Accepted) -> None:
    await announce(turn)
    await lose_lease(turn.run_id)
    await write(turn, "text", number=2)
    await asyncio.gather(*(reap() for _ in range(8)))
    assert kinds(await logged(turn)).count("run.interrupted") == 1


async def test_giving_back_needs_the_lease(turn: Accepted) -> None:
    await in_db(claim, turn.run_id, "mine")
    assert await in_db(requeue, turn.run_id, 1, owner="other") is None
    assert await in_db(requeue, turn.run_id, 1, owner="mine") is not None


async def test_a_talked_over_answer_is_cut_also_when_its_worker_is_lost(turn: Accepted, alice: User) -> None:
    await announce(turn)
    await lose_lease(turn.run_id)
    await write(turn, "seen by all", number=2)
    await in_db(request_stop, alice.pk, turn.run_id, 7)
    await reap()
    run = await in_db(row, turn.run_id)
    assert (run.status, run.message.text, run.heard_chars, run.produced_chars) == ("stopped", "seen by", 7, 11)
    ended, kept = (await logged(turn))[-2:]
    assert (ended["type"], ended["text_length"]) == ("run.stopped", 11)
    assert (kept["type"], kept["message"]["text"]) == ("message.updated", "seen by")
