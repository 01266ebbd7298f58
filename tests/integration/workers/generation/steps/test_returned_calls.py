"""Calls of a program's functions: the run ends with them, the worker makes none, and rules read their arguments."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from accounts.auth.api_tokens import create_token
from accounts.lib.db import in_db
from accounts.models import Reservation, UsageEntry, User
from chat.api.outcome import Outcome, ReturnedCall, read_outcome
from chat.models import ModerationCase
from chat.protocol.commands import ApiSend
from chat.recovery.ledger import check_ledger
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.api_requests import written
from chat.turns.submit import announce
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, know_a_tool, rows, says, worker_with
from tests.integration.workers.generation.steps.resuming import attempt_that_dies
from tests.integration.workers.generation.steps.resuming import no_outage as no_outage  # a fixture
from workers.generation.steps import calls as making
from workers.generation.steps import loop, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]
FUNCTION = json.dumps({"description": "Looks.", "parameters": {"type": "object", "properties": {}}})
BOTH = calls(("a", "look", {"n": 1}), ("b", "look", {"n": 2}), text="I look.")


def ask(user: User, **fields: Any) -> Accepted:
    token = create_token(user, "x", ["chat"], days=1)[0]
    turns, notes = [("user", "Look"), ("function", FUNCTION)], {1: ("", "look")}
    command = ApiSend(
        conversation_id=None, client_id=uuid.uuid4(), text=written(turns, notes), turns=turns, token_id=token.pk,
        temporary=True, notes=notes, **fields,
    )  # fmt: skip
    return accept(user.pk, command)


async def outcome_of(turn: Accepted) -> Outcome:
    found: Outcome | None = await in_db(read_outcome, turn.run_id)
    assert found is not None
    return found


async def turn_of(user: User, **fields: Any) -> Accepted:
    await in_db(know_a_tool)
    turn: Accepted = await in_db(ask, user, **fields)
    await announce(turn)
    return turn


async def test_the_run_ends_with_them(alice: User, layer: None) -> None:
    """Although the site has a tool of that name: it is neither offered nor called."""
    turn, tool, model = await turn_of(alice), CountingTool(description="The site's own."), ScriptedModel(BOTH)
    await worker_with(tool).write(turn, model)
    assert not tool.given
    [options] = model.options
    assert [(one.name, one.description) for one in options.tools] == [("look", "Looks.")]
    assert options.choice.needed
    outcome = await outcome_of(turn)
    assert (outcome.text, outcome.finish, outcome.error) == ("I look.", "tool_calls", None)
    assert outcome.calls == (ReturnedCall("a", "look", '{"n": 1}'), ReturnedCall("b", "look", '{"n": 2}'))
    assert (outcome.input_tokens, outcome.output_tokens) == (100, 10)
    assert not (await in_db(rows, turn.run_id))[0].usage_estimated
    entries = [(one.input_tokens, one.messages) async for one in UsageEntry.objects.all() if one.input_tokens]
    assert entries == [(100, 1)]
    assert await in_db(check_ledger) == []
    assert not await Reservation.objects.filter(run_id=turn.run_id).aexists()


async def test_without_a_text_it_is_an_answer_all_the_same(alice: User, layer: None) -> None:
    turn = await turn_of(alice, choice="required", one_call=True)
    await worker_with().write(turn, ScriptedModel(calls(("a", "look", {}), ("b", "look", {}))))
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, run.finish, run.message.text) == ("done", "", "stop", "")
    assert [call.upstream_id for call in made] == ["a"]  # one at a time was wanted


async def test_an_answer_without_calls_has_no_steps(alice: User, layer: None) -> None:
    turn = await turn_of(alice)
    await worker_with().write(turn, ScriptedModel(says("Nothing to look at.")))
    outcome = await outcome_of(turn)
    assert (outcome.text, outcome.finish, outcome.calls) == ("Nothing to look at.", "stop", ())


@pytest.mark.parametrize(
    "made", [[("a", "look", "x" * 70_000)], [(f"c{number}", "look", {}) for number in range(40)]], ids=["long", "many"]
)
async def test_what_would_be_cut_is_refused(alice: User, layer: None, made: Any) -> None:
    turn = await turn_of(alice)
    await worker_with().write(turn, ScriptedModel(calls(*made)))
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code) == ("failed", "calls_too_long")


async def test_what_a_rule_masks_is_masked_in_the_arguments(alice: User, layer: None) -> None:
    await in_db(add_rule, "mask", "Xylophone", ["answered"])
    turn = await turn_of(alice)
    await worker_with().write(turn, ScriptedModel(calls(("a", "look", {"query": "a Xylophone"}))))
    [call] = (await outcome_of(turn)).calls
    assert json.loads(call.arguments) == {"query": "a ***"}


@pytest.mark.parametrize("action", ["hold", "block"])
async def test_withheld_arguments_are_not_returned(alice: User, layer: None, action: str) -> None:
    await in_db(add_rule, action, "Xylophone", ["answered"])
    turn = await turn_of(alice)
    await worker_with().write(turn, ScriptedModel(calls(("a", "look", {"query": "a Xylophone"}))))
    outcome = await outcome_of(turn)
    assert (outcome.calls, outcome.error is not None and outcome.error.code) == ((), "content_policy_violation")
    assert (await in_db(ModerationCase.objects.get)).target == "call"


@pytest.mark.parametrize("point", ["after record_model_step 1", "before end_call 1", "after end_call 1"])
async def test_a_worker_that_dies_with_them(
    alice: User, layer: None, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """The next one returns the same calls, and the model is not asked again."""
    when, what, _ = point.split()
    dying, died = asyncio.Event(), False
    real = stored.stored

    async def dying_stored(write: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        hit = not died and write.__name__ == what
        if hit and when == "before":
            dying.set()
            await asyncio.Event().wait()
        result = await real(write, *args, **kwargs)
        if hit:
            dying.set()
            await asyncio.Event().wait()
        return result

    for module in (loop, making):
        monkeypatch.setattr(module, "stored", dying_stored)
    turn, model = await turn_of(alice), ScriptedModel(BOTH)
    died = await attempt_that_dies(turn, worker_with(owner="first"), model, dying)
    assert died, "the test needs it"
    await worker_with(owner="second").write(turn, model)
    outcome = await outcome_of(turn)
    assert [call.id for call in outcome.calls] == ["a", "b"]
    assert (outcome.text, outcome.finish, len(model.options)) == ("I look.", "tool_calls", 1)
    assert await in_db(check_ledger) == []
