"""Conversations deleted while an answer with tools is written: in the trash it ends as any other answer does, and
makes no further calls; deleted for good, nothing is left of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.changing import delete, restore
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation, Run, ToolCall
from chat.runs.step_rows import IN_TRASH
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, know_a_tool, rows, says, worker_with
from workers.tools.base import ToolContext, ToolResult

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


@pytest.fixture(params=["kept", "temporary"])
async def turn(request: pytest.FixtureRequest, alice: User, layer: None) -> Accepted:
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "What is it?")
    if request.param == "temporary":
        await Conversation.objects.filter(pk=turn.conversation_id).aupdate(temporary=True)
    await announce(turn)
    return turn


async def test_a_plain_answer_goes_on_in_the_trash(alice: User, turn: Accepted) -> None:
    async def to_trash() -> None:
        await in_db(delete, alice.pk, turn.conversation_id)

    await worker_with(CountingTool()).write(turn, ScriptedModel(["It ", to_trash, *says("is 2.")]))
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text) == ("done", "It is 2.")


async def test_so_does_one_whose_call_is_under_way_and_nothing_more_is_called(alice: User, turn: Accepted) -> None:
    async def to_trash(arguments: Any, context: ToolContext) -> ToolResult:
        await in_db(delete, alice.pk, turn.conversation_id)
        return ToolResult("seen")

    look, send = CountingTool(work=to_trash), CountingTool("send", effect="writes")
    model = ScriptedModel(calls(("a", "look", {})), calls(("b", "send", {})), says("It is 2."))
    await worker_with(look, send).write(turn, model)
    run, steps, made = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, send.began) == ("done", "It is 2.", [])
    assert [(call.status, call.output) for call in made] == [("ok", "seen"), ("error", IN_TRASH)]
    assert all(step.ended_at for step in steps)
    await in_db(restore, alice.pk, turn.conversation_id)
    shown = (await read_snapshot(turn.conversation_id)).messages[-1]
    assert (shown["text"], shown["run"]["steps"][1]["calls"][0]["output"]) == ("It is 2.", "seen")


async def test_a_worker_that_goes_on_after_it_makes_no_call(alice: User, turn: Accepted) -> None:
    """The calls were asked for; the first worker was lost before it made them."""

    async def to_trash() -> None:
        await in_db(delete, alice.pk, turn.conversation_id)

    look = CountingTool()
    await worker_with(look).write(turn, ScriptedModel([to_trash, *calls(("a", "look", {}))], says("Not seen.")))
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, call.output, look.began) == ("done", "Not seen.", IN_TRASH, [])


async def test_nothing_is_left_of_one_that_is_deleted_for_good(turn: Accepted) -> None:
    async def erase(arguments: Any, context: ToolContext) -> ToolResult:
        await in_db(Conversation.objects.filter(pk=turn.conversation_id).delete)
        return ToolResult("too late")

    model = ScriptedModel(calls(("a", "look", {})), says("Never."))
    await worker_with(CountingTool(work=erase)).write(turn, model)
    assert len(model.asked) == 1
    assert not await in_db(Run.objects.exists)
    assert not await in_db(ToolCall.objects.exists)
