"""What reviewers do with a case, and what a person says against it.

A case is `open → claimed → decided`, and after an appeal `appealed → claimed → decided`.

Each use case locks the case first, so that of two reviewers at once the first succeeds and the second reads a sentence.
Decisions are only added. Nobody decides about a text of their own or a report of their own, and whoever decided does
not hear the appeal. The decision about an appeal is final.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat.models.moderation import CaseStatus, DecisionKind, ModerationCase, ModerationDecision, ModerationReport
from chat.moderation.claims import requeue_stale
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Conflict, Invalid, NotFound
from chat.review import effects, sanctions, strikes
from chat.review.announcements import announce_decision

CLAIM: Final = timedelta(minutes=30)  # then anybody else may claim the case
MOST_APPEAL: Final = 2000  # characters
MOST_NOTE: Final = 1000
MOST_HOURS: Final = 24 * 365
TEXTS: Final = (DecisionKind.RELEASE, DecisionKind.MASK, DecisionKind.DELETE)
PERSONS: Final = (DecisionKind.WARN, DecisionKind.SUSPEND, DecisionKind.BLOCK)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reviewer decides about the text, about the person, or both. `hours` is the length of a suspension."""

    text: DecisionKind | None = None
    person: DecisionKind | None = None
    note: str = ""
    hours: int | None = None


@dataclass(slots=True)
class Decided:
    """What was decided, by the reviewer and then by the policy, and what it changed in sentences for the reviewer."""

    case: ModerationCase
    decisions: list[ModerationDecision]
    effects: list[str] = field(default_factory=list)


def is_appeal(case: ModerationCase) -> bool:
    """Whether the case waits for somebody to hear an appeal."""
    return case.appealed_at is not None and (case.decided_at is None or case.decided_at < case.appealed_at)


def why_not_review(actor: User, case: ModerationCase) -> str:
    """Why `actor` may not claim or decide this case; empty if they may."""
    if case.person_id == actor.pk:
        return _("This case is about a text of your own. Somebody else must decide it.")
    if ModerationReport.objects.filter(case=case, reporter=actor).exists():
        return _("You reported this yourself. Somebody else must decide it.")
    if is_appeal(case) and ModerationDecision.objects.filter(case=case, decided_by=actor).exists():
        return _("You decided this case. Somebody else must decide the appeal.")
    if case.status == CaseStatus.DECIDED:
        return _("This case is decided.")
    return ""


def claim(actor: User, case_id: uuid.UUID) -> ModerationCase:
    """Claims a case for `actor`, or prolongs the claim they have. Raises `NotFound`, or `Conflict` with the reason."""
    with transaction.atomic():
        case = _lock(case_id)
        if wrong := why_not_review(actor, case):
            raise Conflict(wrong)
        if case.status == CaseStatus.CLAIMED and case.claimed_by_id not in (actor.pk, None) and not is_stale(case):
            raise Conflict(_("%(claimed_by)s has claimed this case.") % {"claimed_by": case.claimed_by})
        case.status, case.claimed_by, case.claimed_at = CaseStatus.CLAIMED, actor, timezone.now()
        case.save(update_fields=["status", "claimed_by", "claimed_at"])
        return case


def release_claim(actor: User, case_id: uuid.UUID) -> ModerationCase:
    """Gives a claimed case back to the queue. Raises `NotFound`, and `Conflict` if it is not claimed by `actor`."""
    with transaction.atomic():
        case = _lock(case_id)
        if case.status != CaseStatus.CLAIMED or case.claimed_by_id != actor.pk:
            raise Conflict(_("You have not claimed this case."))
        _unclaim(case)
        return case


def release_stale_claims() -> int:
    """Gives cases back whose claim is older than `CLAIM`; returns how many."""
    return requeue_stale(CLAIM / timedelta(hours=1))


def is_stale(case: ModerationCase) -> bool:
    return case.claimed_at is None or case.claimed_at < timezone.now() - CLAIM


def decide(actor: User, case_id: uuid.UUID, outcome: Outcome) -> Decided:
    """Decides a case that `actor` has claimed; the text, the account and the strikes follow in the same transaction.

    Raises `NotFound`; `Invalid` for an outcome that contradicts itself; `Conflict` with the reason if it cannot be.
    """
    with transaction.atomic():
        case = _lock_claimed(actor, case_id)
        if is_appeal(case):
            raise Conflict(_("There is an appeal against this decision. Decide the appeal."))
        return _conclude(actor, case, outcome)


def hear_appeal(actor: User, case_id: uuid.UUID, outcome: Outcome) -> Decided:
    """Decides about an appeal, for good. `RELEASE` grants it: strikes, suspension and block of this case are undone.

    Raises as `decide` does.
    """
    with transaction.atomic():
        case = _lock_claimed(actor, case_id)
        if not is_appeal(case):
            raise Conflict(_("There is no appeal in this case."))
        granted = outcome.text == DecisionKind.RELEASE
        undone = sanctions.undo(case, keep=None if granted else outcome.person)
        if granted:
            strikes.take_back(case)
        decided = _conclude(actor, case, outcome)
        decided.effects[:0] = undone
        return decided


def appeal(person: User, case_id: uuid.UUID, text: str) -> ModerationCase:
    """Appeals against a decision, or writes to the reviewers before there is one.

    Once before and once after the decision. Raises `NotFound` for a case that the person does not know of; `Invalid`
    for an empty or too long text; `Conflict` with the reason.
    """
    text = clean_controls(text).strip()
    if not text:
        raise Invalid(_("Write what you want to say."))
    if len(text) > MOST_APPEAL:
        raise Invalid(
            _("At most %(most_appeal)s characters; these are %(text)s.")
            % {"most_appeal": MOST_APPEAL, "text": len(text)}
        )
    with transaction.atomic():
        case = _lock(case_id)
        if case.person_id != person.pk or not is_known_to_person(case):
            raise NotFound
        if case.appealed_at is not None:
            raise Conflict(_("You have already appealed. The decision about an appeal is final."))
        if case.status == CaseStatus.DECIDED:
            _check_appealable(case)
            case.status, case.appealed_at = CaseStatus.APPEALED, timezone.now()
            case.claimed_by = case.claimed_at = None
        elif case.appeal:
            raise Conflict(_("You have already written to the reviewers. You can appeal when they have decided."))
        case.appeal = "\n\n".join(filter(None, (case.appeal, text)))
        case.save(update_fields=["status", "appeal", "appealed_at", "claimed_by", "claimed_at"])
        return case


def is_known_to_person(case: ModerationCase) -> bool:
    """Whether the person was told of the case: not if a text of theirs was only flagged and nothing came of it."""
    if case.action != "flag":
        return True
    return case.decisions.exclude(kind=DecisionKind.RELEASE).exists()


def _check_appealable(case: ModerationCase) -> None:
    kinds = set(case.decisions.values_list("kind", flat=True))
    if kinds <= {DecisionKind.RELEASE}:
        raise Conflict(_("The decision was in your favour; there is nothing to appeal."))
    other = ModerationCase.objects.filter(target=case.target, target_id=case.target_id)
    if other.exclude(pk=case.pk).exclude(status=CaseStatus.DECIDED).exists():
        raise Conflict(_("Another case about this text is open. You can appeal when it is decided."))


def _lock(case_id: uuid.UUID) -> ModerationCase:
    found = ModerationCase.objects.select_for_update(of=("self",)).select_related("person")
    case = found.filter(pk=case_id).first()
    if case is None:
        raise NotFound(_("This case does not exist any more."))
    return case


def _lock_claimed(actor: User, case_id: uuid.UUID) -> ModerationCase:
    case = _lock(case_id)
    if wrong := why_not_review(actor, case):
        raise Conflict(wrong)
    if case.status != CaseStatus.CLAIMED or case.claimed_by_id != actor.pk:
        other = (
            _("%(claimed_by)s has claimed this case.") % {"claimed_by": case.claimed_by}
            if case.claimed_by
            else _("Claim the case first.")
        )
        raise Conflict(other)
    return case


def _unclaim(case: ModerationCase) -> None:
    case.status = CaseStatus.APPEALED if is_appeal(case) else CaseStatus.OPEN
    case.claimed_by = case.claimed_at = None
    case.save(update_fields=["status", "claimed_by", "claimed_at"])


def _check_outcome(outcome: Outcome) -> None:
    if outcome.text is None and outcome.person is None:
        raise Invalid(_("Decide something about the text or about the person."))
    if outcome.text == DecisionKind.RELEASE and outcome.person is not None:
        raise Invalid(_("A text that is released has no consequence for the person."))
    if outcome.person == DecisionKind.SUSPEND and not 1 <= (outcome.hours or 0) <= MOST_HOURS:
        raise Invalid(_("A suspension lasts 1 to %(most_hours)s hours.") % {"most_hours": MOST_HOURS})
    if len(outcome.note) > MOST_NOTE:
        raise Invalid(_("A note has at most %(most_note)s characters.") % {"most_note": MOST_NOTE})


def _conclude(actor: User, case: ModerationCase, outcome: Outcome) -> Decided:
    """Text → person → decisions → strikes → policy → case → announcement."""
    _check_outcome(outcome)
    on_appeal = is_appeal(case)
    decided = Decided(case, [])
    if outcome.text is not None:
        decided.effects += effects.apply(case, outcome.text)
    until = sanctions.apply(actor, case, outcome.person, outcome.hours)
    for kind in filter(None, (outcome.text, outcome.person)):
        ends = until if kind == DecisionKind.SUSPEND else None
        decided.decisions.append(_add(case, kind, outcome.note, actor, ends))
    if not on_appeal and strikes.give(case, decided.decisions) and (step := strikes.reached_step(case)) is not None:
        consequence, note, ends = sanctions.follow_policy(case, step)
        if consequence is not None:
            decided.decisions.append(_add(case, consequence, note, None, ends))
        decided.effects.append(sanctions.policy_note(note))
    case.status, case.decided_at, case.seen_at = CaseStatus.DECIDED, timezone.now(), None
    case.claimed_by = case.claimed_at = None
    case.save(update_fields=["status", "decided_at", "seen_at", "claimed_by", "claimed_at"])
    announce_decision(case, decided.decisions)
    return decided


def _add(
    case: ModerationCase, kind: DecisionKind, note: str, by: User | None, until: datetime | None
) -> ModerationDecision:
    return ModerationDecision.objects.create(case=case, kind=kind, note=note.strip(), decided_by=by, until=until)
