"""What the database knows and the event log does not is announced."""

from __future__ import annotations

import asyncio

import pytest

from accounts.lib.db import in_db
from accounts.lib.redis import sync_redis
from accounts.models import User
from chat.eventlog import store
from chat.models import RunStatus
from chat.protocol.commands import Position
from chat.recovery.reaper import close_endings, reap
from chat.runs.claims import claim
from chat.runs.closing import close_in_log
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from chat.turns.stop import request_stop
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.run_rows import row, shift
from tests.integration.chat.recovery.lost_runs import ANNOUNCED_AND_LOST, kinds, lose_lease, write

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_message_nobody_announced_is_announced_first(turn: Accepted) -> None:
    """The web process died after the commit, the worker before its first word."""
    await lose_lease(turn.run_id)
    await reap()
    assert kinds(await logged(turn)) == ANNOUNCED_AND_LOST


async def test_an_end_that_did_not_reach_the_log(turn: Accepted) -> None:
    await announce(turn)
    await in_db(claim, turn.run_id, "w")
    ended = await in_db(end_run, turn.run_id, 1, RunStatus.DONE, Ending("text"))
    assert ended is not None
    await in_db(shift, turn.run_id, finished_at=-10)
    await asyncio.gather(close_endings(), close_endings())
    await close_in_log(ended)
    assert kinds(await logged(turn)).count("run.done") == 1
    assert (await in_db(row, turn.run_id)).ended_in_log


async def test_a_lost_log_gets_the_end_under_its_new_epoch(turn: Accepted) -> None:
    await announce(turn)
    before, _ = await store.position(turn.conversation_id)
    await lose_lease(turn.run_id)
    sync_redis().flushall()
    await reap()
    here, _ = await store.position(turn.conversation_id)
    assert here.epoch != before.epoch
    assert (await store.read(turn.conversation_id, Position(before.epoch, 1))).entries is None


async def test_the_cut_of_an_ended_answer_reaches_the_log_once(turn: Accepted, alice: User) -> None:
    """The process that cut it dies before it could say so."""
    await announce(turn)
    await in_db(claim, turn.run_id, "w")
    await write(turn, "all is said", number=2)
    ended = await in_db(end_run, turn.run_id, 1, RunStatus.DONE, Ending("all is said"))
    assert ended is not None
    await close_in_log(ended)
    assert (await in_db(request_stop, alice.pk, turn.run_id, 4)).ended is not None
    assert not (await in_db(row, turn.run_id)).ended_in_log
    await in_db(shift, turn.run_id, finished_at=-60)
    await close_endings()
    await close_endings()
    assert kinds(await logged(turn))[-2:] == ["run.done", "message.updated"]
    assert (await in_db(row, turn.run_id)).ended_in_log
    [late] = await store.append(store.Append(turn.conversation_id, [ended.event], turn.run_id, 1, 7))
    assert late.fenced, "whoever was thought dead still writes nothing"
