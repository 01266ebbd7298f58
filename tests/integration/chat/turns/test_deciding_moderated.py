"""What people write for calls of tools is screened: edited arguments, and answers to questions."""

from __future__ import annotations

import json

import pytest

from accounts.models import User
from chat.models import ModerationCase, ToolCall
from chat.moderation.structured import search_json
from chat.protocol.deciding import ToolDecide
from chat.protocol.errors import Moderated
from chat.turns.deciding import decide_or_refuse
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.tool_rows import Waiting, waiting

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]

BAD = "Xylophone"
QUESTION = {"sentence": "To whom?", "schema": {"properties": {"who": {"type": "string"}}}}


def decide(user: User, found: Waiting, **fields: object) -> None:
    command = ToolDecide(run_id=found.id, call_id=found.calls[0], decision="once", **fields)  # type: ignore[arg-type]
    decide_or_refuse(user.pk, command)


@pytest.mark.parametrize("text", [f'{{"to": "a {BAD}"}}', '{"to": "a\\u0020' + BAD + '"}', {"to": f"a {BAD}"}])
def test_edited_arguments_are_stored_masked(alice: User, text: object) -> None:
    add_rule("mask", BAD)
    found = waiting(alice)
    decide(alice, found, arguments=text)
    call = ToolCall.objects.get(pk=found.calls[0])
    assert (call.status, json.loads(call.edited_arguments)) == ("allowed", {"to": "a ***"})
    case = ModerationCase.objects.get()
    assert (case.target, case.direction, case.action, case.person_id) == ("refused", "asked", "mask", alice.pk)
    assert BAD in case.original
    assert case.notice


@pytest.mark.parametrize("action", ["hold", "block"])
def test_edited_arguments_that_a_rule_refuses_change_nothing(alice: User, action: str) -> None:
    add_rule(action, BAD, notice="No music.")
    found = waiting(alice)
    for _ in range(2):  # the same case
        with pytest.raises(Moderated, match=r"No music\."):
            decide(alice, found, arguments={"to": BAD})
    call = ToolCall.objects.get(pk=found.calls[0])
    assert (call.status, call.edited_arguments, found.row().status) == ("waiting", "", "waiting")
    assert (ModerationCase.objects.get().action, ModerationCase.objects.get().original) == (
        "block", json.dumps({"to": BAD}),
    )  # fmt: skip
    decide(alice, found, arguments={"to": "a drum"})
    assert ToolCall.objects.get(pk=found.calls[0]).status == "allowed"


@pytest.mark.parametrize("action", ["mask", "block"])
def test_answers_to_questions_are_screened(alice: User, action: str) -> None:
    add_rule(action, BAD)
    found = waiting(alice, question=QUESTION)
    if action == "block":
        with pytest.raises(Moderated):
            decide(alice, found, answer={"who": BAD})
        assert ToolCall.objects.get(pk=found.calls[0]).answers == []
    else:
        decide(alice, found, answer={"who": BAD})
        assert ToolCall.objects.get(pk=found.calls[0]).answers == [{"who": "***"}]
    assert BAD in ModerationCase.objects.get().original


def test_json_that_is_nested_too_deeply_is_searched_as_text() -> None:
    text = "[" * 50_000 + "]" * 50_000
    assert search_json(lambda _text: [], text).masked == text
