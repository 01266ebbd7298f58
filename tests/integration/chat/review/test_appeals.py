"""Appeals against decisions, and what they bring back."""

from __future__ import annotations

import pytest

from accounts import suspension
from accounts.models import User
from chat.models import Message, ModerationCase, Run
from chat.models.moderation import DecisionKind
from chat.protocol.errors import Conflict, Invalid, NotFound
from chat.review import decisions
from chat.review.decisions import MOST_APPEAL, Outcome
from tests.fixtures.cases import SECRET, make_case, make_masked
from tests.fixtures.conversation_rows import make_conversation
from tests.integration.chat.review.deciding import BLOCK, DELETE, MASK, RELEASE, decided, refused, status
from tests.integration.chat.review.deciding import mo as mo  # a fixture
from tests.integration.chat.review.deciding import nora as nora  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


# --- appeals ---------------------------------------------------------------------------------------------------------
def test_what_an_appeal_is_told(alice: User, bob: User, mo: User) -> None:
    case = make_case(alice)
    refused(NotFound, decisions.appeal, bob, case.pk, "Not mine")
    refused(Invalid, decisions.appeal, alice, case.pk, " \x00 ")
    refused(Invalid, decisions.appeal, alice, case.pk, "x" * (MOST_APPEAL + 1))
    decisions.appeal(alice, case.pk, "Before anybody decides")
    assert status(case) == "open"
    assert "already written" in refused(Conflict, decisions.appeal, alice, case.pk, "Twice")
    decided(case, mo)
    decisions.appeal(alice, case.pk, "And after")
    case.refresh_from_db()
    assert case.appeal == "Before anybody decides\n\nAnd after"
    assert "already appealed" in refused(Conflict, decisions.appeal, alice, case.pk, "Twice")
    case.delete()
    refused(NotFound, decisions.appeal, alice, case.pk, "Gone")


def test_no_appeal_against_a_decision_in_ones_favour_or_an_unknown_case(alice: User, mo: User) -> None:
    case = make_case(alice)
    decided(case, mo, RELEASE)
    assert "in your favour" in refused(Conflict, decisions.appeal, alice, case.pk, "Thanks")
    flagged = make_case(alice, action="flag")
    refused(NotFound, decisions.appeal, alice, flagged.pk, "I was never told")


def test_an_appeal_against_a_deleted_message(alice: User, mo: User, nora: User) -> None:
    case, message = make_masked(alice)
    decided(case, mo)
    message.conversation.delete()
    decisions.appeal(alice, case.pk, "It was a joke")
    decisions.claim(nora, case.pk)
    assert "does not exist any more" in " ".join(decisions.hear_appeal(nora, case.pk, RELEASE).effects)
    assert status(case) == "decided"


def test_an_appeal_waits_for_another_case_of_the_same_text(alice: User, mo: User) -> None:
    case = make_case(alice)
    decided(case, mo)
    other = make_case(alice, target_id=case.target_id)
    assert "Another case" in refused(Conflict, decisions.appeal, alice, case.pk, "Why?")
    decided(other, mo)
    decisions.appeal(alice, case.pk, "Why?")


# --- what it means for the person ------------------------------------------------------------------------------------
def test_a_suspension_ends_with_the_appeal(alice: User, mo: User, nora: User) -> None:
    case = make_case(alice)
    result = decided(case, mo, Outcome(DecisionKind.DELETE, DecisionKind.SUSPEND, hours=24))
    alice.refresh_from_db()
    assert suspension.is_suspended(alice)
    assert alice.suspended_until == result.decisions[1].until
    assert alice.suspension_reason == "No badgers here."
    decisions.appeal(alice, case.pk, "Please")
    decisions.claim(nora, case.pk)
    heard = decisions.hear_appeal(nora, case.pk, RELEASE)
    alice.refresh_from_db()
    assert not suspension.is_suspended(alice)
    assert heard.effects[0] == "The suspension was lifted."


def test_a_block_is_undone_and_another_cases_suspension_stays(alice: User, mo: User, nora: User) -> None:
    case = make_case(alice)
    decided(case, mo, BLOCK)
    alice.refresh_from_db()
    assert not alice.is_active
    other = make_case(alice)
    decided(other, mo, Outcome(person=DecisionKind.SUSPEND, hours=5))
    decisions.appeal(alice, case.pk, "Please")
    decisions.claim(nora, case.pk)
    decisions.hear_appeal(nora, case.pk, RELEASE)
    alice = User.objects.get(pk=alice.pk)
    assert alice.is_active
    assert suspension.is_suspended(alice)


# --- held messages ---------------------------------------------------------------------------------------------------
@pytest.fixture
def held(alice: User) -> tuple[ModerationCase, Message, Run]:
    """A message that waits for a reviewer: without its text, with a run that waits for it."""
    conversation = make_conversation(alice, 2)
    question, answer = Message.objects.filter(conversation=conversation).order_by("created_at")
    case = make_case(
        alice, target="message", target_id=question.pk, action="hold", conversation=conversation
    )  # fmt: skip
    question.text, question.moderation = "", {"action": "hold", "reason": "Wait.", "case_id": str(case.pk)}
    question.save()
    Message.objects.filter(pk=answer.pk).update(status="pending", text="")
    run = Run.objects.create(
        conversation=conversation, prompt=question, message=answer, requested_by=alice, model="m", status="waiting",
        waiting_for="moderation",
    )  # fmt: skip
    return case, question, run


@pytest.mark.parametrize(
    ("outcome", "text", "action", "status"),
    [
        (RELEASE, SECRET, "release", "queued"),
        (MASK, "my *** number is 4711", "mask", "queued"),
        (DELETE, "", "block", "stopped"),
    ],
)
def test_a_held_message(
    held: tuple[ModerationCase, Message, Run], mo: User, outcome: Outcome, text: str, action: str, status: str
) -> None:
    case, message, run = held
    decided(case, mo, outcome)
    message.refresh_from_db()
    run.refresh_from_db()
    assert (message.text, message.moderation["action"], run.status) == (text, action, status)


def test_an_appeal_brings_a_refused_held_message_back(
    held: tuple[ModerationCase, Message, Run], alice: User, mo: User, nora: User
) -> None:
    case, message, run = held
    decided(case, mo)
    decisions.appeal(alice, case.pk, "It was a question")
    decisions.claim(nora, case.pk)
    decisions.hear_appeal(nora, case.pk, RELEASE)
    message.refresh_from_db()
    run.refresh_from_db()
    assert (message.text, run.status) == (SECRET, "stopped")  # its author may try again
