"""The case of an answer has the text of all its steps, also of those before it waited for a person."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import ModerationCase
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, decide, know_a_tool, rows, says, worker_with

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "What is it?")
    await announce(turn)
    return turn


async def test_what_was_masked_before_a_wait_is_in_the_case_afterwards(turn: Accepted) -> None:
    await in_db(add_rule, "mask", "secret", ["answered"])
    tool = CountingTool(approval="ask")
    model = ScriptedModel(calls(("a", "look", {}), text="First a secret."), says("Then a secret again."))
    await worker_with(tool).write(turn, model)
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.original) == ("message", "First a secret.")
    await in_db(decide, turn.run_id)
    await worker_with(tool, owner="second").write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert run.message.text == "First a ***.\n\nThen a *** again."
    assert run.message.moderation["action"] == "mask"
    await in_db(case.refresh_from_db)
    whole = "First a secret.\n\nThen a secret again."
    assert case.original == whole
    marked = {whole[start:end] for one in case.rules for start, end in one["places"]}
    assert marked == {"secret"}
