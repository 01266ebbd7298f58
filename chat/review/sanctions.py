"""What a decision does to the account: nothing but a notice (warn), a suspension, or a block."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from accounts import erasure, suspension
from accounts.models import User
from accounts.roles import may_manage
from chat.models.moderation import DecisionKind, ModerationCase
from chat.models.strikes import Consequence, PolicyStep
from chat.protocol.errors import Conflict

PERMISSION = "accounts.disable_user"  # to suspend and to block


def apply(actor: User, case: ModerationCase, kind: DecisionKind | None, hours: int | None) -> datetime | None:
    """Carries out the part of a decision that is about the person; returns when a suspension ends.

    Raises `Conflict` with the reason: an erased account, or one that `actor` may not manage.
    """
    if kind is None:
        return None
    if case.person is None:
        raise Conflict("The account has been erased, so a decision can only be about the text.")
    if kind == DecisionKind.WARN:
        return None
    if not actor.has_perm(PERMISSION) or not may_manage(actor, case.person):
        raise Conflict(f"You may not suspend or block {case.person}.")
    if kind == DecisionKind.BLOCK:
        _block(case.person)
        return None
    until = timezone.now() + timedelta(hours=hours or 0)
    return _suspend(case, until)


def follow_policy(case: ModerationCase, step: PolicyStep) -> tuple[DecisionKind | None, str, datetime | None]:
    """Carries out a step of the policy. Returns the decision, a note about it, and when a suspension ends.

    Accounts of staff are left to people: nothing happens to them by itself.
    """
    assert case.person is not None
    what = f"Policy: {step.strikes} strikes in {step.days} days"
    if step.consequence == Consequence.WARN:
        return DecisionKind.WARN, what, None
    if case.person.is_staff or case.person.is_superuser:
        return None, f"{what} are reached, but accounts of staff are not suspended by the policy.", None
    if step.consequence == Consequence.BLOCK:
        if not case.person.is_active:
            return None, f"{what} are reached; the account is blocked already.", None
        _block(case.person)
        return DecisionKind.BLOCK, what, None
    until = timezone.now() + timedelta(hours=step.hours or 0)
    if case.person.suspended_until is not None and case.person.suspended_until >= until:
        return None, f"{what} are reached; the account is suspended for longer already.", None
    return DecisionKind.SUSPEND, what, _suspend(case, until)


def undo(case: ModerationCase, *, keep: DecisionKind | None) -> list[str]:
    """Lifts the suspension and the block that this case led to, except one of the kind `keep`; says what was undone.

    A suspension or block of another case stays.
    """
    if case.person is None:
        return []
    undone = []
    ends = case.decisions.filter(kind=DecisionKind.SUSPEND).values_list("until", flat=True)
    if keep != DecisionKind.SUSPEND and case.person.suspended_until in set(ends) and suspension.lift(case.person):
        undone.append("The suspension was lifted.")
    blocked = case.decisions.filter(kind=DecisionKind.BLOCK).exists()
    if keep != DecisionKind.BLOCK and blocked and not case.person.is_active and erasure.enable(case.person):
        undone.append("The account was unblocked.")
    return undone


def _suspend(case: ModerationCase, until: datetime) -> datetime:
    assert case.person is not None
    suspension.suspend(case.person, until, case.notice or "It was used against this site's rules.")
    return until


def _block(person: User) -> None:
    try:
        erasure.disable(person)
    except erasure.LastAdministratorError as error:
        raise Conflict(str(error)) from None
