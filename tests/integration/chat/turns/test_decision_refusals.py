"""Decisions about calls of tools that are refused, and answers to the questions of tools."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.models import User
from chat.conversations.members import remove_member
from chat.models import Member, ToolCall, ToolDecision
from chat.protocol.deciding import ToolDecide
from chat.protocol.errors import Conflict, Forbidden, Invalid, NotFound, Suspended, TooLarge
from chat.runs.approvals import Wait, wait_for_approval
from chat.runs.claims import claim
from chat.turns.deciding import decide_call
from chat.turns.stop import mark_stopped
from tests.fixtures.quota_rows import together
from tests.fixtures.tool_rows import OWNER, QUESTION, Waiting, waiting
from tests.integration.chat.turns.deciding import decide, join

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]


class TestRefusals:
    def test_who_may_decide(self, alice: User, bob: User, mallory: User) -> None:
        found = waiting(alice)
        join(bob, found, "viewer")
        for user, error in ((bob, Forbidden), (mallory, NotFound)):
            with pytest.raises(error):
                decide(user, found)
        User.objects.filter(pk=alice.pk).update(suspended_until="2100-01-01T00:00Z")
        with pytest.raises(Suspended):
            decide(alice, found)
        assert found.call().status == "waiting"
        Member.objects.filter(user=bob).update(role="editor")
        decide(bob, found)
        assert found.call().decided_by == bob

    def test_the_first_decision_stands(self, alice: User, bob: User) -> None:
        found = waiting(alice, 2)
        join(bob, found)
        decide(alice, found, "deny")
        with pytest.raises(Conflict, match=r"Alice has already denied this\."):
            decide(bob, found)
        decide(alice, found, "deny")  # a command that is repeated
        with pytest.raises(Conflict, match=r"You have already denied this\."):
            decide(alice, found)
        assert ToolDecision.objects.count() == 1

    def test_two_who_decide_at_once(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        join(bob, found)
        results = together(6, lambda number: decide([alice, bob][number % 2], found, ["once", "deny"][number % 2]))
        errors = [one for one in results if one is not None]
        assert all(isinstance(one, Conflict) for one in errors), errors
        assert len(errors) == 3, "the others have decided the same"
        [decision] = ToolDecision.objects.all()
        call = found.call()
        assert (call.decision, call.decided_by_id) == (decision.decision, decision.by_id)
        assert call.status == ("allowed" if decision.by_id == alice.pk else "denied")
        assert found.row().status == "queued"

    def test_a_decision_of_somebody_who_is_removed_meanwhile(self, alice: User, bob: User) -> None:
        for _ in range(3):
            found = waiting(alice)
            join(bob, found)
            conversation = found.run.conversation_id

            def act(number: int, found: Waiting = found, conversation: uuid.UUID = conversation) -> None:
                if number:
                    decide(bob, found)
                else:
                    remove_member(alice.pk, conversation, bob.pk)

            refused = [one for one in together(2, act) if one is not None]
            decided = ToolDecision.objects.filter(call=found.calls[0]).exists()
            assert decided == (not refused)
            assert all(isinstance(one, NotFound) for one in refused), refused
            assert not Member.objects.filter(user=bob, conversation=conversation).exists()
            with pytest.raises(NotFound):
                decide(bob, found)

    def test_a_call_of_another_run(self, alice: User, mallory: User) -> None:
        found, other = waiting(alice), waiting(mallory)
        for run_id, call_id in ((found.id, other.calls[0]), (other.id, found.calls[0]), (found.id, uuid.uuid4()),
                                (uuid.uuid4(), found.calls[0])):  # fmt: skip
            with pytest.raises(NotFound):
                decide_call(alice.pk, ToolDecide(run_id=run_id, call_id=call_id, decision="once"))
        assert (found.call().status, other.call().status) == ("waiting", "waiting")

    @pytest.mark.parametrize("arguments", ["", "{", "[]", "null", '{"a": NaN}', '"{}"', "{} {}", "[" * 9_000])
    def test_arguments_that_are_no_object(self, alice: User, arguments: str) -> None:
        found = waiting(alice)
        with pytest.raises(Invalid, match="not a JSON object"):
            decide(alice, found, arguments=arguments)
        assert found.call().status == "waiting"

    def test_arguments_that_are_too_long(self, alice: User) -> None:
        found = waiting(alice)
        with pytest.raises(TooLarge):
            decide(alice, found, arguments=json.dumps({"text": "ü" * 33_000}, ensure_ascii=False))
        decide(alice, found, arguments=json.dumps({"text": "ü" * 32_000}, ensure_ascii=False))
        assert found.call().edited_arguments.startswith('{"text": "üü')

    def test_arguments_that_are_the_same_are_not_edited(self, alice: User) -> None:
        found = waiting(alice)
        decide(alice, found, arguments={"to": "carol@example.org"})
        assert found.call().edited_arguments == ""

    def test_the_run_was_stopped_meanwhile(self, alice: User) -> None:
        found = waiting(alice)
        results = together(2, lambda number: decide(alice, found) if number else mark_stopped(found.id))
        assert found.row().status == "stopped"
        assert found.call().status == "cancelled", results
        with pytest.raises(Conflict):
            decide(alice, found, "deny")


class TestQuestions:
    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ({}, "Flight: an answer is needed"), ({"flight": "LH3"}, "Flight: this is none of the choices"),
            ({"flight": 1}, "Flight: this is not a text"), ({"flight": "LH1", "seats": 0}, "Seats: at least 1"),
            ({"flight": "LH1", "seats": 1.5}, "Seats: this is not a whole number"),
            ({"flight": "LH1", "seats": True}, "Seats: this is not a whole number"),
            ({"flight": "LH1", "window": "yes"}, "At a window: this is not yes or no"), (None, "asks a question"),
        ],
    )  # fmt: skip
    def test_answers_that_do_not_fit(self, alice: User, answer: Any, said: str) -> None:
        found = waiting(alice, question=QUESTION)
        with pytest.raises(Invalid, match=said):
            decide(alice, found, answer=answer)
        assert found.call().status == "waiting"

    def test_an_answer(self, alice: User) -> None:
        found = waiting(alice, question=QUESTION)
        with pytest.raises(Invalid, match="asks a question"):
            decide(alice, found, "always", answer={"flight": "LH1"})
        with pytest.raises(Invalid, match="asks a question"):
            decide(alice, found, answer={"flight": "LH1"}, arguments="{}")
        decide(alice, found, answer={"flight": "LH1", "seats": 2, "other": 1})
        call = found.call()
        assert (call.status, call.answers) == ("allowed", [{"flight": "LH1", "seats": 2}])
        assert ToolDecision.objects.get().answered

    def test_an_answer_to_no_question(self, alice: User) -> None:
        with pytest.raises(Invalid, match="asks no question"):
            decide(alice, waiting(alice), answer={})

    def test_declined(self, alice: User) -> None:
        found = waiting(alice, question=QUESTION)
        decide(alice, found, "deny")
        assert (found.call().status, found.call().output) == ("denied", "A person did not answer the question.")

    def test_a_call_may_wait_again(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        join(bob, found)
        decide(alice, found)
        again = claim(found.id, OWNER)
        assert again is not None
        ToolCall.objects.update(status="running")
        assert wait_for_approval(again.run, OWNER, [Wait(found.calls[0], "It asks.", QUESTION)])
        assert (found.call().decision, found.call().decided_by) == ("", None)
        decide(bob, found, answer={"flight": "LH2"})
        assert list(ToolDecision.objects.order_by("at").values_list("by__name", "answered", "step__number")) == [
            ("Alice", False, 3), ("Bob", True, 4),
        ]  # fmt: skip
