"""Calls that write, between a worker that is lost or stands still and the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError

from accounts.lib.db import in_db
from chat.turns.accepted import Accepted
from tests.fixtures.tool_runs import CountingTool, OpenPolicy, ScriptedModel, calls, decide, rows, says, worker_with
from tests.integration.workers.generation.steps.resuming import attempt_that_dies, death, lose
from tests.integration.workers.generation.steps.resuming import no_outage as no_outage  # fixtures
from tests.integration.workers.generation.steps.resuming import turn as turn
from workers.generation.steps import calls as making
from workers.generation.steps import stored
from workers.generation.tool_use.approval import MAYBE_HAPPENED

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]


async def test_a_write_whose_tool_is_gone_with_its_worker_stays_unknown(turn: Accepted) -> None:
    dying = asyncio.Event()
    send = CountingTool("send", effect="writes", work=death(dying))
    model = ScriptedModel(calls(("a", "send", {})), says("I do not know."))
    assert await attempt_that_dies(turn, worker_with(send, owner="first"), model, dying)
    await worker_with(CountingTool("other"), owner="second").write(turn, model)
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status) == ("done", "unknown")
    assert call.output.startswith("Whether this call had its effect is not known")


async def test_a_call_that_somebody_allowed_waits_for_the_database(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "RETRY_SECONDS", 0.01)
    send = CountingTool("send", effect="writes", approval="ask")
    model = ScriptedModel(calls(("a", "send", {})), says("Done."))
    await worker_with(send, owner="first").write(turn, model)
    await in_db(decide, turn.run_id)
    second = worker_with(send, owner="second")
    find, outages = second.more["find_tools"], iter([OperationalError("away")] * 3)

    async def find_after_outages(wish: Any) -> Any:
        if (outage := next(outages, None)) is not None:
            raise outage
        return await find(wish)

    second.more["find_tools"] = find_after_outages
    await second.write(turn, model)
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, len(send.done)) == ("done", "ok", 1)


async def test_a_worker_that_stood_still_makes_no_call_of_another(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped between the commit that a call begins and the call, and goes on when its lease is over."""
    still, go = asyncio.Event(), asyncio.Event()
    real = stored.stored

    async def stand_still(write: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = await real(write, *args, **kwargs)
        if write.__name__ == "begin_calls" and not still.is_set():
            still.set()
            await go.wait()
            result = replace(result, until=time.monotonic() - 1)
        return result

    monkeypatch.setattr(making, "stored", stand_still)
    policy = OpenPolicy()
    sends = [CountingTool("send", effect="writes") for _ in range(2)]
    first = worker_with(sends[0], owner="first")
    model = ScriptedModel(calls(("a", "send", {})), says("Done."))
    writing = await first.begin(turn, model)
    await still.wait()
    await lose(turn)
    await worker_with(sends[1], policy=policy, owner="second").write(turn, model)
    assert [one.why for one in policy.waits] == [MAYBE_HAPPENED]
    await in_db(decide, turn.run_id)
    await worker_with(sends[1], owner="third").write(turn, model)
    go.set()
    await writing
    await first.close()
    assert (sends[0].began, len(sends[1].done)) == ([], 1)
