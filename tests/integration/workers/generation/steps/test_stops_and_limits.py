"""Answers with tools that are stopped or reach a limit, and what they cost, on real PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import Price, Unit, UsageEntry, User
from chat.models import Conversation, Run
from chat.runs import tool_switch
from chat.runs.tool_switch import switch_tools, tools_stopped
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.quota_rows import give, standing
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import (
    CountingTool,
    ScriptedModel,
    calls,
    know_a_tool,
    rows,
    says,
    worker_with,
)
from workers.providers.base import Chunk, TokenUsage
from workers.tools.base import ToolResult

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


async def test_each_step_is_booked_once_and_the_message_once(turn: Accepted) -> None:
    async def cost(*_: Any) -> ToolResult:
        return ToolResult("found", cost=Decimal("0.25"))

    model = ScriptedModel(calls(("a", "look", {})), says("Done."))
    await worker_with(CountingTool(work=cost)).write(turn, model)
    entries = [entry async for entry in UsageEntry.objects.order_by("at", "id")]
    assert [
        (one.purpose, one.messages, one.input_tokens, one.output_tokens, one.run_id is None) for one in entries
    ] == [
        ("step", 1, 100, 10, True),
        ("tool", 0, 0, 0, True),
        ("", 0, 200, 20, False),
    ]
    assert entries[1].cost is not None
    assert float(entries[1].cost) == 0.25


async def test_the_same_call_again_and_again_is_ended(turn: Accepted) -> None:
    model = ScriptedModel(calls(("a", "look", {"at": 1})))
    tool = CountingTool()
    await worker_with(tool).write(turn, model)
    run, _, made = await in_db(rows, turn.run_id)
    assert [call.status for call in made] == ["ok", "ok", "error", "error", "error"]
    assert len(tool.done) == 2
    assert "asked for this very call 3 times" in made[2].output
    assert (run.status, run.finish) == ("done", "tool_limit")
    assert model.options[-1].call_no_more


async def test_the_limit_of_steps_asks_for_an_answer(turn: Accepted) -> None:
    await in_db(know_a_tool, tool_steps=2)
    scripts = [calls((str(n), "look", {"at": n}), text=f"Step {n}.") for n in range(2)]
    model = ScriptedModel(*scripts, says("That is all."))
    await worker_with(CountingTool()).write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert [one.call_no_more for one in model.options] == [False, False, True]
    assert (run.status, run.finish) == ("done", "tool_limit")
    assert run.message.text == "Step 0.\n\nStep 1.\n\nThat is all."


async def test_no_steps_means_no_tools(turn: Accepted) -> None:
    await in_db(know_a_tool, tool_steps=0)
    model = ScriptedModel(says("Plain."))
    await worker_with(CountingTool()).write(turn, model)
    assert not model.options[0].tools


@pytest.mark.parametrize("limit", [{"tool_tokens": 240}, {"tool_cost": "0.0003"}])
async def test_tokens_and_money_end_the_answer_with_what_is_there(turn: Accepted, limit: dict[str, Any]) -> None:
    await Price.objects.acreate(model="", input_per_million=1, output_per_million=1)
    await in_db(know_a_tool, **limit)
    words = [Chunk(f"word{n} ") for n in range(500)]
    model = ScriptedModel(calls(("a", "look", {}), text="First."), words)
    await worker_with(CountingTool()).write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code) == ("stopped", "tool_limit")
    assert run.message.text.startswith("First.\n\nword0 word1 ")
    assert len(run.message.text) < 1_500


async def test_a_tool_that_never_answers_meets_its_deadline(turn: Accepted, settings: Any) -> None:
    settings.TOOL_CALL_SECONDS = 0.2

    async def hang(*_: Any) -> ToolResult:
        await asyncio.Event().wait()
        raise AssertionError

    tool = CountingTool(work=hang)
    await worker_with(tool).write(turn, ScriptedModel(calls(("a", "look", {})), says("It hangs.")))
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, tool.cancelled) == ("done", "error", 1)
    assert "took longer than 0 seconds" in call.output


@pytest.mark.parametrize(("effect", "status"), [("reads", "error"), ("writes", "unknown")])
@pytest.mark.parametrize("failure", ["hangs", "crashes"])
async def test_whether_a_write_happened_that_ended_in_no_result_is_not_known(
    turn: Accepted, settings: Any, effect: Any, status: str, failure: str
) -> None:
    settings.TOOL_CALL_SECONDS = 0.2

    async def work(*_: Any) -> ToolResult:
        if failure == "crashes":
            raise RuntimeError
        await asyncio.Event().wait()
        raise AssertionError

    tool = CountingTool(effect=effect, work=work)
    await worker_with(tool).write(turn, ScriptedModel(calls(("a", "look", {})), says("Perhaps.")))
    _, _, [call] = await in_db(rows, turn.run_id)
    assert (call.status, "not known whether it happened" in call.output) == (status, effect == "writes")


async def test_a_stop_cancels_calls_also_stubborn_ones(turn: Accepted) -> None:
    begun = asyncio.Event()

    async def hang(*_: Any) -> ToolResult:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def ignore(*_: Any) -> ToolResult:
        for _n in range(40):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        return ToolResult("too late")

    hangs, stubborn = CountingTool(work=hang), CountingTool("stubborn", work=ignore)
    worker = worker_with(hangs, stubborn)
    model = ScriptedModel(calls(("a", "look", {}), ("b", "stubborn", {}), text="Wait."), says("Never."))
    writing = await worker.begin(turn, model)
    await begun.wait()
    assert worker.generation is not None
    before = asyncio.get_running_loop().time()
    worker.generation.stop()
    await writing
    assert asyncio.get_running_loop().time() - before < 3, "half a second for the call, and the commit"
    await worker.close()
    run, steps, made = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, hangs.cancelled) == ("stopped", "Wait.", 1)
    assert [call.status for call in made] == ["cancelled", "cancelled"]
    assert [step.status for step in steps] == ["done", "cancelled"]
    results = [event for event in await logged(turn) if event["type"] == "tool.result"]
    assert [event["status"] for event in results] == ["cancelled", "cancelled"]


async def test_a_quota_that_is_used_up_ends_the_answer_before_the_next_step(turn: Accepted, alice: User) -> None:
    await in_db(give, alice, 40, Unit.OUTPUT_TOKENS)
    other = await in_db(say, alice, "Another")
    await announce(other)
    greedy = calls(("a", "look", {}), text="First.", usage=TokenUsage(100, 40))
    model = ScriptedModel(greedy, says("Never."))
    await worker_with(CountingTool()).write(other, model)
    run, _, _ = await in_db(rows, other.run_id)
    assert (run.status, run.error_code, run.message.text) == ("stopped", "quota_exceeded", "First.")
    assert run.error_message == "The answer was stopped. You have used up your quota of 40 output tokens today."
    assert len(model.asked) == 1
    assert (await in_db(standing, alice))[Unit.OUTPUT_TOKENS] == (40, 0)


async def test_a_quota_bounds_each_step_by_what_is_left(turn: Accepted, alice: User) -> None:
    await in_db(give, alice, 100, Unit.OUTPUT_TOKENS)
    other = await in_db(say, alice, "Another")
    await announce(other)
    first = calls(("a", "look", {}), text="First.", usage=TokenUsage(100, 70))
    model = ScriptedModel(first, [Chunk(f"word{n} ") for n in range(500)])
    await worker_with(CountingTool()).write(other, model)
    run, _, _ = await in_db(rows, other.run_id)
    assert [one.max_tokens for one in model.options] == [100, 30]
    assert (run.status, run.error_code) == ("stopped", "quota_exceeded")
    used, reserved = (await in_db(standing, alice))[Unit.OUTPUT_TOKENS]
    assert 98 <= used <= 100
    assert reserved == 0


async def test_a_result_after_the_stop_is_dropped(turn: Accepted, alice: User) -> None:
    """The stop is in PostgreSQL; its message has not reached the worker."""

    async def stop(*_: Any) -> ToolResult:
        await Run.objects.filter(pk=turn.run_id).aupdate(stop_requested_at=timezone.now())
        return ToolResult("too late")

    model = ScriptedModel(calls(("a", "look", {})), says("Never."))
    await worker_with(CountingTool(work=stop)).write(turn, model)
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, call.output, len(model.asked)) == ("stopped", "cancelled", "", 1)


@pytest.fixture
def switch() -> Generator[None]:
    """What this process knows of the switch that stops all tools is of this test."""
    tool_switch.forget()
    yield
    tool_switch.forget()


@pytest.mark.usefixtures("switch")
async def test_no_call_begins_while_staff_stops_all_tools(turn: Accepted) -> None:
    """Not even in an answer that has begun; there is one sentence for it, which people read, too."""

    async def stop(*_: Any) -> ToolResult:
        await in_db(switch_tools, True, "Until noon.", None)
        return ToolResult("the last one")

    first, second = CountingTool(work=stop), CountingTool("send")
    model = ScriptedModel(calls(("a", "look", {})), calls(("b", "send", {})), says("Off."))
    await worker_with(first, second).write(turn, model)
    _, _, made = await in_db(rows, turn.run_id)
    assert [(call.status, call.output) for call in made] == [
        ("ok", "the last one"),
        ("error", "Tools are switched off for now. Until noon."),
    ]
    assert second.began == []
    assert await in_db(tools_stopped) == made[1].output


async def test_calls_run_side_by_side_up_to_the_limit(turn: Accepted) -> None:
    await in_db(know_a_tool, tool_calls_at_once=2)
    running, most, both = 0, 0, asyncio.Event()

    async def work(*_: Any) -> ToolResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            both.set()
        await both.wait()  # on a busy machine the second one begins late
        await asyncio.sleep(0.05)
        running -= 1
        return ToolResult("")

    asked = [(str(n), "look", {"n": n}) for n in range(5)]
    await worker_with(CountingTool(work=work)).write(turn, ScriptedModel(calls(*asked), says("Done.")))
    _, _, made = await in_db(rows, turn.run_id)
    assert ([call.status for call in made], most) == (["ok"] * 5, 2)


async def test_a_conversation_lowers_the_limits_of_the_plan(turn: Accepted) -> None:
    await Conversation.objects.filter(pk=turn.conversation_id).aupdate(tool_limits={"steps": 1, "seconds": 1e9})
    model = ScriptedModel(calls(("a", "look", {})), says("Done."))
    await worker_with(CountingTool()).write(turn, model)
    assert [one.call_no_more for one in model.options] == [False, True]
