"""Whoever denies a call may give a reason: the model, the members and staff read it, share links do not."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import store
from chat.models import Conversation, Member, ModerationCase, Step, ToolCall
from chat.portability.export import export_user_data
from chat.portability.steps import AnswerSteps
from chat.protocol.deciding import ToolDecide
from chat.protocol.errors import Invalid, Moderated, TooLarge
from chat.retention.erasure import erase
from chat.runs.step_texts import blank_calls
from chat.turns import deciding
from chat.turns.deciding import decide_and_publish, decide_or_refuse
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.tool_rows import QUESTION, Waiting, waiting
from workers.generation.tool_use.requests import rounds_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]

REASON = "Carol has left. Write to Dave."
BAD = "Xylophone"


def deny(user: User, found: Waiting, reason: str | None = REASON, decision: str = "deny") -> None:
    decide_or_refuse(user.pk, command(found, reason, decision))


def command(found: Waiting, reason: str | None = REASON, decision: str = "deny") -> ToolDecide:
    return ToolDecide(run_id=found.id, call_id=found.calls[0], decision=decision, reason=reason)  # type: ignore[arg-type]


def read_by_model(found: Waiting) -> str:
    """What the model reads as the result of the first call."""
    steps = list(Step.objects.filter(run=found.id).order_by("number").prefetch_related("calls"))
    [one] = rounds_of(steps, "", ())
    return one.results[0].turn(1_000).content


@pytest.mark.parametrize(("question", "sentence"), [(None, "did not allow"), (QUESTION, "did not answer")])
def test_the_model_reads_it(alice: User, question: Any, sentence: str) -> None:
    found = waiting(alice, question=question)
    deny(alice, found, f"  {REASON}\x00 ")
    assert found.call().reason == REASON
    assert sentence in read_by_model(found)
    assert read_by_model(found).endswith(f"The reason that the person gave: {REASON}")


@pytest.mark.parametrize("reason", [None, "", " \n "])
def test_a_denial_without_a_reason_stays_as_it_was(alice: User, reason: str | None) -> None:
    found = waiting(alice)
    deny(alice, found, reason)
    assert read_by_model(found) == "A person did not allow this call."


async def test_members_read_it(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    async def enqueue(run_id: uuid.UUID) -> None:
        """There is no broker."""

    monkeypatch.setattr(deciding, "enqueue", enqueue)
    found = await in_db(waiting, alice)
    await decide_and_publish(alice.pk, command(found))
    conversation_id = found.run.conversation_id
    here, _ = await store.position(conversation_id)
    events = [json.loads(entry.body) for entry in await store.entries(conversation_id, after=0, until=here.seq)]
    assert [event["reason"] for event in events if event["type"] == "tool.decided"] == [REASON]
    assert [REASON in event["output"] for event in events if event["type"] == "tool.result"] == [False], (
        "shares show it"
    )
    steps = (await read_snapshot(conversation_id)).messages[-1]["run"]["steps"]
    assert steps[-1]["decisions"][0]["reason"] == REASON


def test_exports_have_it_and_an_erasure_takes_it_away(alice: User, bob: User) -> None:
    found = waiting(alice)
    Member.objects.create(conversation_id=found.run.conversation_id, user=bob, role="editor")
    deny(bob, found)
    steps = AnswerSteps(Conversation.objects.get(pk=found.run.conversation_id))
    message = found.row().message
    assert [call["reason"] for step in steps.data_of(message)["steps"] for call in step["calls"]] == [REASON]
    assert [one["reason"] for one in json.loads("".join(export_user_data(bob)))["tool_decisions"]] == [REASON]
    erase(bob)
    assert (found.call().reason, found.call().status) == ("", "denied")
    assert REASON not in read_by_model(found)


def test_withheld_calls_lose_it(alice: User) -> None:
    found = waiting(alice)
    deny(alice, found)
    blank_calls(ToolCall.objects.filter(pk__in=found.calls))
    assert found.call().reason == ""


def test_what_cannot_be_a_reason_is_refused(alice: User) -> None:
    found = waiting(alice)
    with pytest.raises(TooLarge, match="1,000 characters"):
        deny(alice, found, "x" * 1_001)
    with pytest.raises(Invalid, match="only with a denial"):
        deny(alice, found, REASON, "once")
    assert found.call().status == "waiting"
    deny(alice, found, "x" * 1_000)
    assert len(found.call().reason) == 1_000


def test_rules_screen_it_as_what_a_person_writes(alice: User) -> None:
    add_rule("mask", BAD)
    found = waiting(alice)
    deny(alice, found, f"No {BAD}.")
    assert found.call().reason == "No ***."
    assert ModerationCase.objects.get().original == f"No {BAD}."


def test_a_rule_that_blocks_it_lets_the_call_wait(alice: User) -> None:
    add_rule("block", BAD, notice="No music.")
    found = waiting(alice)
    with pytest.raises(Moderated, match=r"No music\."):
        deny(alice, found, BAD)
    assert (found.call().status, found.call().reason) == ("waiting", "")
    deny(alice, found)
    assert found.call().status == "denied"
