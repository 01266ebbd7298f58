"""The order of the events of a step whose calls end together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chat.turns.accepted import Accepted
from tests.fixtures.logged_events import logged
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, says, worker_with
from workers.generation.steps import calls as step_calls

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


async def test_a_step_ends_after_all_of_its_results(turn: Accepted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the result that was stored first is logged last: the files of each are read between the two."""
    event_of, came, passed = step_calls._event_of, 0, asyncio.Event()

    async def first_last(*args: Any) -> Any:
        nonlocal came
        came += 1
        if came == 1:
            await asyncio.wait_for(passed.wait(), 20)
        else:
            asyncio.get_running_loop().call_later(0.1, passed.set)
        return await event_of(*args)

    monkeypatch.setattr(step_calls, "_event_of", first_last)
    model = ScriptedModel(calls(("a", "look", {"at": 1}), ("b", "look", {"at": 2})), says("Done."))
    await worker_with(CountingTool()).write(turn, model)
    kinds = [event["type"] for event in await logged(turn) if event["type"] in ("tool.result", "run.step")]
    assert kinds == ["run.step", "run.step", "tool.result", "tool.result", "run.step"]
