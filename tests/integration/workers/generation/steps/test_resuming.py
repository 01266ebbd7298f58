"""An attempt that follows goes on after the last finished step, wherever the worker before it died."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import Reservation, UsageEntry
from chat.conversations.snapshot import read_snapshot
from chat.models import ToolCall
from chat.recovery.ledger import check_ledger
from chat.turns.accepted import Accepted
from tests.fixtures.logged_events import logged
from tests.fixtures.tool_runs import (
    CountingTool,
    OpenPolicy,
    ScriptedModel,
    calls,
    decide,
    rows,
    says,
    worker_with,
)
from tests.integration.workers.generation.steps.resuming import (
    ANSWER,
    ModelByHistory,
    attempt_that_dies,
    death,
    lose,
    shown,
)
from tests.integration.workers.generation.steps.resuming import no_outage as no_outage  # a fixture
from tests.integration.workers.generation.steps.resuming import turn as turn  # a fixture
from workers.generation.steps import calls as making
from workers.generation.steps import loop, stored
from workers.generation.tool_use.approval import MAYBE_HAPPENED
from workers.tools.base import ToolResult

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]
POINTS = [
    f"{when} {what}"
    for what in ("record_model_step 1", "begin_calls 1", "begin_calls 3", "end_call 1", "end_call 2", "end_call 3",
                 "record_model_step 2", "tool 1", "tool 3")
    for when in ("before", "after")
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_dies_between_two_steps(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Killed before or after each commit, and each call: nothing is lost, and nothing that writes happens twice."""
    when, what, number = point.split()
    dying, died = asyncio.Event(), False
    counted = itertools.count(1)

    async def die() -> None:
        dying.set()
        await asyncio.Event().wait()

    real = stored.stored

    async def dying_stored(write: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        hit = not died and write.__name__ == what and next(counted) == int(number)
        if hit and when == "before":
            await die()
        result = await real(write, *args, **kwargs)
        if hit:
            await die()
        return result

    async def work(arguments: Any, context: Any) -> Any:
        hit = not died and what == "tool" and arguments["n"] == int(number)
        if hit and when == "before":
            await die()
        happened.append((arguments["n"], context.call_id))
        if hit:
            await die()
        return ToolResult(f"result {arguments['n']}")

    happened: list[tuple[int, Any]] = []
    look = CountingTool(work=work)
    send = CountingTool("send", effect="writes", work=work)
    policy, model = OpenPolicy(), ModelByHistory()
    for module in (loop, making):
        monkeypatch.setattr(module, "stored", dying_stored)

    died = await attempt_that_dies(turn, worker_with(look, send, policy=policy, owner="first"), model, dying)
    assert died, "the test needs it"
    run, _, _ = await in_db(rows, turn.run_id)
    if point == "before record_model_step 1":  # nothing was finished: as in an answer without tools
        assert (run.status, run.message.text, run.step_count) == ("interrupted", "Looking.", 0)
        return
    assert run.status == "queued"
    snapshot = await read_snapshot(turn.conversation_id)
    assert snapshot.messages[-1]["text"] == run.message.text
    await worker_with(look, send, policy=policy, owner="second").write(turn, model)
    run, _, made = await in_db(rows, turn.run_id)
    if run.status == "waiting":  # it may have happened: a person says that it is to be tried again
        assert [one.why for one in policy.waits] == [MAYBE_HAPPENED]
        assert what in ("tool", "begin_calls", "end_call")
        await in_db(decide, turn.run_id)
        await worker_with(look, send, policy=policy, owner="third").write(turn, model)
        run, _, made = await in_db(rows, turn.run_id)

    assert (run.status, run.message.text) == ("done", ANSWER)
    assert [(call.name, call.status) for call in made] == [("look", "ok"), ("look", "ok"), ("send", "ok")]
    keys = {key for n, key in happened if n == 3}
    assert keys == {made[2].pk}, "each try of a call that writes has the same key"
    if not policy.waits:
        assert sum(n == 3 for n, _ in happened) == 1, "nobody was asked, so it happened once"
    text, results = shown(await logged(turn))
    assert text == ANSWER
    assert results == {str(call.pk): {"ok"} for call in made}
    steps = [entry async for entry in UsageEntry.objects.filter(purpose="step", estimated=False)]
    assert sum(entry.input_tokens for entry in steps) == 200, "two requests with calls, each booked once"
    assert sum([entry.messages async for entry in UsageEntry.objects.all()]) == 1
    assert await in_db(check_ledger) == []
    assert not await Reservation.objects.filter(run_id=turn.run_id).aexists()


async def test_text_beyond_the_last_step_is_replaced(turn: Accepted) -> None:
    """The worker dies in the middle of the second request: the text before stays, that after is written again."""
    dying = asyncio.Event()

    async def die() -> None:
        dying.set()
        await asyncio.Event().wait()

    first = worker_with(CountingTool(), owner="first")

    async def flushed_death() -> None:
        await first.flushed()
        await die()

    model = ScriptedModel(
        calls(("a", "look", {}), text="Looking."), ["This will be ", flushed_death], says("It is there.")
    )
    assert await attempt_that_dies(turn, first, model, dying)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, run.kept_chars) == ("queued", "Looking.", 8)
    snapshot = await read_snapshot(turn.conversation_id)
    assert snapshot.messages[-1]["text"] == "Looking.", "what is dropped is not shown again"
    lost = [entry async for entry in UsageEntry.objects.filter(estimated=True)]
    assert [entry.output_tokens for entry in lost] == [4], "what the lost worker wrote is booked"
    await worker_with(CountingTool(), owner="second").write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text) == ("done", "Looking.\n\nIt is there.")
    assert shown(await logged(turn))[0] == run.message.text


async def test_attempts_without_progress_are_counted(turn: Accepted) -> None:
    """A run that dies three times at the same place ends; steps in between begin to count anew."""
    model = ModelByHistory()
    for attempt in range(1, 10):
        dying = asyncio.Event()

        look = CountingTool(work=death(dying))
        if not await attempt_that_dies(turn, worker_with(look, owner=f"w{attempt}"), model, dying):
            break
        run, _, _ = await in_db(rows, turn.run_id)
        if run.status != "queued":
            break
    assert attempt == 4, "the first attempt made a step, three more did not"
    run, steps, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("interrupted", "worker_lost", "Looking.")
    assert {call.status for call in made} == {"cancelled"}
    assert [step.status for step in steps] == ["done", "cancelled"]


async def test_a_write_that_may_have_happened_is_not_repeated_when_denied(turn: Accepted) -> None:
    dying = asyncio.Event()
    send = CountingTool("send", effect="writes", work=death(dying))
    policy = OpenPolicy()
    model = ScriptedModel(calls(("a", "send", {})), says("I do not know."))
    assert await attempt_that_dies(turn, worker_with(send, policy=policy, owner="first"), model, dying)
    await worker_with(send, policy=policy, owner="second").write(turn, model)
    assert [one.why for one in policy.waits] == [MAYBE_HAPPENED]
    call = await ToolCall.objects.aget(run=turn.run_id)
    assert call.status == "waiting"
    await in_db(decide, turn.run_id, allow=False)
    await worker_with(send, policy=policy, owner="third").write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, len(send.began)) == ("done", 1)


async def test_rows_of_a_lost_worker_change_nothing(turn: Accepted) -> None:
    """A worker that was only slow comes back with its result after the next one has begun."""
    slow, go = asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> Any:
        slow.set()
        await go.wait()
        return ToolResult("from the past")

    model = ScriptedModel(calls(("a", "look", {})), says("Done."))
    first = worker_with(CountingTool(work=wait), owner="first")
    writing = await first.begin(turn, model)
    await slow.wait()
    await lose(turn)
    await worker_with(CountingTool(), owner="second").write(turn, model)
    go.set()
    await writing
    await first.close()
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, call.output, call.tries) == ("done", "ok", "seen {}", 2)
