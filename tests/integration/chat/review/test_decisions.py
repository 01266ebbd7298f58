"""Claims, decisions and appeals: who may, in which order, and what each changes."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import User
from chat.models import Message, ModerationCase, ModerationDecision, PolicyStep, Strike
from chat.models.moderation import CaseStatus, DecisionKind, ModerationReport
from chat.protocol.errors import Conflict, Invalid, NotFound
from chat.review import decisions, strikes
from chat.review.decisions import Outcome
from tests.conftest import make_user
from tests.fixtures.cases import SECRET, make_case, make_masked
from tests.integration.chat.review.deciding import BLOCK, DELETE, MASK, RELEASE, WARN, decided, refused, status
from tests.integration.chat.review.deciding import mo as mo  # a fixture
from tests.integration.chat.review.deciding import nora as nora  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


def test_the_whole_path(alice: User, mo: User, nora: User) -> None:
    case, message = make_masked(alice)
    assert decisions.claim(mo, case.pk).claimed_by == mo
    assert status(case) == "claimed"
    result = decisions.decide(mo, case.pk, Outcome(DecisionKind.DELETE, DecisionKind.WARN, "Twice now"))
    assert [one.kind for one in result.decisions] == ["delete", "warn"]
    message.refresh_from_db()
    assert (message.text, message.moderation["action"]) == ("", "block")
    assert status(case) == "decided"

    decisions.appeal(alice, case.pk, "It is a nickname.")
    assert status(case) == "appealed"
    assert "You decided" in refused(Conflict, decisions.claim, mo, case.pk)
    decisions.claim(nora, case.pk)
    assert "Decide the appeal" in refused(Conflict, decisions.decide, nora, case.pk, RELEASE)
    decisions.hear_appeal(nora, case.pk, RELEASE)
    message.refresh_from_db()
    assert (message.text, message.moderation) == (SECRET, {})
    assert status(case) == "decided"
    assert not strikes.valid_strikes(alice).exists()
    assert "final" in refused(Conflict, decisions.appeal, alice, case.pk, "Again")


def test_nobody_decides_about_themselves(alice: User, mo: User) -> None:
    own, reported = make_case(mo), make_case(alice)
    ModerationReport.objects.create(case=reported, reporter=mo, reason="spam")
    assert "of your own" in refused(Conflict, decisions.claim, mo, own.pk)
    assert "reported this yourself" in refused(Conflict, decisions.claim, mo, reported.pk)
    ModerationCase.objects.update(status="claimed", claimed_by=mo, claimed_at=timezone.now())
    for case in (own, reported):
        refused(Conflict, decisions.decide, mo, case.pk, RELEASE)
    assert not ModerationDecision.objects.exists()


def test_claims_are_held_given_back_and_end(alice: User, mo: User, nora: User) -> None:
    case = make_case(alice)
    assert "Claim the case first" in refused(Conflict, decisions.decide, mo, case.pk, RELEASE)
    decisions.claim(mo, case.pk)
    decisions.claim(mo, case.pk)  # again: it is prolonged
    assert "has claimed" in refused(Conflict, decisions.claim, nora, case.pk)
    assert "has claimed" in refused(Conflict, decisions.decide, nora, case.pk, RELEASE)
    refused(Conflict, decisions.release_claim, nora, case.pk)
    decisions.release_claim(mo, case.pk)
    assert status(case) == "open"

    decisions.claim(mo, case.pk)
    assert decisions.release_stale_claims() == 0
    ModerationCase.objects.update(claimed_at=timezone.now() - timedelta(minutes=31))
    decisions.claim(nora, case.pk)  # without waiting for the sweeper
    ModerationCase.objects.update(claimed_at=timezone.now() - timedelta(minutes=31))
    assert decisions.release_stale_claims() == 1
    assert status(case) == "open"


def test_a_stale_claim_of_an_appeal_is_an_appeal_again(alice: User, mo: User, nora: User) -> None:
    case = make_case(alice)
    decided(case, mo)
    decisions.appeal(alice, case.pk, "Why?")
    decisions.claim(nora, case.pk)
    ModerationCase.objects.update(claimed_at=timezone.now() - timedelta(hours=1))
    decisions.release_stale_claims()
    assert status(case) == "appealed"


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_once_one_claims(alice: User, mo: User, nora: User) -> None:
    case = make_case(alice)
    start, said = threading.Barrier(2), []

    def claim(who: User) -> None:
        start.wait(30)
        try:
            decisions.claim(who, case.pk)
            said.append("claimed")
        except Conflict as error:
            said.append(error.message)
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=[who]) for who in (mo, nora)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    case.refresh_from_db()
    assert set(said) == {"claimed", f"{case.claimed_by} has claimed this case."}


def test_decisions_are_only_added(alice: User, mo: User) -> None:
    case = make_case(alice)
    made = decided(case, mo).decisions[0]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        ModerationDecision.objects.filter(pk=made.pk).update(kind="release")
    mo.delete()  # the account is erased: the decision stays, without a name
    made.refresh_from_db()
    assert (made.decided_by, made.kind) == (None, "delete")


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (Outcome(), "Decide something"),
        (Outcome(DecisionKind.RELEASE, DecisionKind.WARN), "no consequence"),
        (Outcome(person=DecisionKind.SUSPEND), "lasts 1 to"),
        (Outcome(person=DecisionKind.SUSPEND, hours=100_000), "lasts 1 to"),
        (Outcome(DecisionKind.DELETE, note="x" * 1001), "at most 1000"),
    ],
)
def test_an_outcome_that_contradicts_itself_changes_nothing(
    alice: User, mo: User, outcome: Outcome, sentence: str
) -> None:
    case, _ = make_masked(alice)
    decisions.claim(mo, case.pk)
    assert sentence in refused(Invalid, decisions.decide, mo, case.pk, outcome)
    assert status(case) == "claimed"
    assert not ModerationDecision.objects.exists()


def test_what_is_gone_has_a_defined_result(alice: User, mo: User) -> None:
    case, message = make_masked(alice)
    message.conversation.delete()
    assert "does not exist any more" in decided(case, mo, RELEASE).effects[0]

    orphan = make_case(None)
    decisions.claim(mo, orphan.pk)
    assert "erased" in refused(Conflict, decisions.decide, mo, orphan.pk, WARN)
    decisions.decide(mo, orphan.pk, DELETE)
    assert not Strike.objects.exists()

    emptied, message = make_masked(alice)
    ModerationCase.objects.filter(pk=emptied.pk).update(original="")
    decisions.claim(mo, emptied.pk)
    assert "was erased" in refused(Conflict, decisions.decide, mo, emptied.pk, RELEASE)
    assert "removed" in decisions.decide(mo, emptied.pk, DELETE).effects[0]

    assert "does not exist" in refused(NotFound, decisions.claim, mo, uuid.uuid4())


def test_a_flagged_message_can_be_masked_and_deleted(alice: User, mo: User) -> None:
    case, message = make_masked(alice)
    Message.objects.update(text=SECRET, moderation={})
    ModerationCase.objects.update(action="flag")
    decided(case, mo, MASK)
    message.refresh_from_db()
    assert (message.text, message.moderation["action"]) == ("my *** number is 4711", "mask")

    plain = make_case(alice, target="message", target_id=message.pk, action="flag", rules=[], origin="report")
    Message.objects.update(text=SECRET, moderation={})
    decisions.claim(mo, plain.pk)
    assert "Nothing was marked" in refused(Conflict, decisions.decide, mo, plain.pk, MASK)


def test_an_answer_in_progress_is_not_decided(alice: User, mo: User) -> None:
    case, message = make_masked(alice)
    Message.objects.filter(pk=message.pk).update(role="assistant", author=None, status="streaming")
    decisions.claim(mo, case.pk)
    assert "still being written" in refused(Conflict, decisions.decide, mo, case.pk, DELETE)


def test_titles_and_names_come_back_or_go(alice: User, mo: User) -> None:
    _, message = make_masked(alice)
    title = make_case(alice, target="title", target_id=message.conversation_id, action="mask", direction="named")
    decided(title, mo, RELEASE)
    message.conversation.refresh_from_db()
    assert message.conversation.title == SECRET
    name = make_case(alice, target="name", target_id=alice.pk, action="mask", direction="named")
    decided(name, mo, DELETE)
    alice.refresh_from_db()
    assert alice.name == ""


def test_staff_are_not_suspended_by_a_moderator(mo: User, nora: User) -> None:
    boss = make_user("Boss")
    boss.is_staff = boss.is_superuser = True
    boss.save()
    for person in (nora, boss):
        case = make_case(person)
        decisions.claim(mo, case.pk)
        assert "may not suspend" in refused(Conflict, decisions.decide, mo, case.pk, BLOCK)
    mo.groups.clear()
    mo = User.objects.get(pk=mo.pk)
    case = make_case(make_user("Carl"))
    decisions.claim(mo, case.pk)
    assert "may not suspend" in refused(Conflict, decisions.decide, mo, case.pk, BLOCK)


def test_strikes_by_severity(alice: User, mo: User) -> None:
    for severity, outcome in ((1, WARN), (4, DELETE), (4, RELEASE)):
        decided(make_case(alice, severity=severity), mo, outcome)
    found = strikes.valid_strikes(alice).order_by("pk")
    assert [(one.count, (one.expires_at - one.given_at).days) for one in found] == [(1, 30), (3, 365)]
    Strike.objects.update(expires_at=timezone.now())
    assert not strikes.valid_strikes(alice).exists()


def test_the_shipped_policy_does_nothing(alice: User, mo: User) -> None:
    for _ in range(6):
        assert len(decided(make_case(alice, severity=4), mo).decisions) == 1
    alice.refresh_from_db()
    assert alice.is_active
    assert alice.suspended_until is None


def test_the_most_severe_step_that_is_reached_holds(alice: User, mo: User) -> None:
    PolicyStep.objects.all().delete()
    PolicyStep.objects.create(strikes=2, days=30, consequence="warn", enabled=True)
    PolicyStep.objects.create(strikes=3, days=30, consequence="suspend", hours=24, enabled=True)
    PolicyStep.objects.create(strikes=1, days=30, consequence="block", enabled=False)
    kinds = [[one.kind for one in decided(make_case(alice), mo).decisions] for _ in range(3)]
    assert kinds == [["delete"], ["delete", "warn"], ["delete", "suspend"]]
    policy = ModerationDecision.objects.get(kind="suspend")
    assert (policy.decided_by, policy.note) == (None, "A step of the policy was reached (strikes: 3, days: 30).")
    alice.refresh_from_db()
    assert alice.suspended_until == policy.until
    strikes.take_back(policy.case)
    assert strikes.reached_step(policy.case).consequence == "warn"  # type: ignore[union-attr]


def test_the_policy_leaves_staff_to_people(mo: User, nora: User) -> None:
    PolicyStep.objects.create(strikes=1, days=30, consequence="block", enabled=True)
    result = decided(make_case(nora), mo)
    nora.refresh_from_db()
    assert nora.is_active
    assert "does not apply to staff" in result.effects[-1]
    assert status(result.case) == CaseStatus.DECIDED
