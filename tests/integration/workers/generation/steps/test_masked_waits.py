"""The case of an answer has the text of all its steps, also of those before it waited for a person."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from chat.models import ModerationCase
from chat.turns.accepted import Accepted
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, decide, rows, says, worker_with

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


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
