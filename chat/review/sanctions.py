"""What a decision does to the account: nothing but a notice (warn), a suspension, or a block."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import erasure, suspension
from accounts.lib.texts import gettext_noop, retold
from accounts.models import User
from accounts.roles import may_manage
from chat.models.moderation import DecisionKind, ModerationCase
from chat.models.strikes import Consequence, PolicyStep
from chat.protocol.errors import Conflict

PERMISSION = "accounts.disable_user"  # to suspend and to block
AGAINST_RULES: Final = gettext_noop("It was used against this site's rules.")
# What the policy notes about an account that has reached one of its steps.
REACHED: Final = gettext_noop("A step of the policy was reached (strikes: %(strikes)s, days: %(days)s).")
OF_STAFF: Final = gettext_noop(
    "A step of the policy was reached (strikes: %(strikes)s, days: %(days)s), but it does not apply to staff."
)
BLOCKED_ALREADY: Final = gettext_noop(
    "A step of the policy was reached (strikes: %(strikes)s, days: %(days)s), but the account is already blocked."
)
SUSPENDED_ALREADY: Final = gettext_noop(
    "A step of the policy was reached (strikes: %(strikes)s, days: %(days)s), but the account is already suspended "
    "for longer."
)


def apply(actor: User, case: ModerationCase, kind: DecisionKind | None, hours: int | None) -> datetime | None:
    """Carries out the part of a decision that is about the person; returns when a suspension ends.

    Raises `Conflict` with the reason: an erased account, or one that `actor` may not manage.
    """
    if kind is None:
        return None
    if case.person is None:
        raise Conflict(_("The account has been erased, so a decision can only be about the text."))
    if kind == DecisionKind.WARN:
        return None
    if not actor.has_perm(PERMISSION) or not may_manage(actor, case.person):
        raise Conflict(_("You may not suspend or block %(user)s.") % {"user": case.person})
    if kind == DecisionKind.BLOCK:
        _block(case.person)
        return None
    until = timezone.now() + timedelta(hours=hours or 0)
    return _suspend(case, until)


def follow_policy(case: ModerationCase, step: PolicyStep) -> tuple[DecisionKind | None, str, datetime | None]:
    """Carries out a step of the policy. Returns the decision, a note about it, in English as it is
    stored (`policy_note` is for its reader), and when a suspension ends.

    Accounts of staff are left to people: nothing happens to them by itself.
    """
    assert case.person is not None
    numbers = {"strikes": step.strikes, "days": step.days}
    if step.consequence == Consequence.WARN:
        return DecisionKind.WARN, REACHED % numbers, None
    if case.person.is_staff or case.person.is_superuser:
        return None, OF_STAFF % numbers, None
    if step.consequence == Consequence.BLOCK:
        if not case.person.is_active:
            return None, BLOCKED_ALREADY % numbers, None
        _block(case.person)
        return DecisionKind.BLOCK, REACHED % numbers, None
    until = timezone.now() + timedelta(hours=step.hours or 0)
    if case.person.suspended_until is not None and case.person.suspended_until >= until:
        return None, SUSPENDED_ALREADY % numbers, None
    return DecisionKind.SUSPEND, REACHED % numbers, _suspend(case, until)


def policy_note(stored: str) -> str:
    """A note of the policy in the language that is active."""
    return retold(stored, (OF_STAFF, BLOCKED_ALREADY, SUSPENDED_ALREADY, REACHED))


def undo(case: ModerationCase, *, keep: DecisionKind | None) -> list[str]:
    """Lifts the suspension and the block that this case led to, except one of the kind `keep`; says what was undone.

    A suspension or block of another case stays.
    """
    if case.person is None:
        return []
    undone = []
    ends = case.decisions.filter(kind=DecisionKind.SUSPEND).values_list("until", flat=True)
    if keep != DecisionKind.SUSPEND and case.person.suspended_until in set(ends) and suspension.lift(case.person):
        undone.append(_("The suspension was lifted."))
    blocked = case.decisions.filter(kind=DecisionKind.BLOCK).exists()
    if keep != DecisionKind.BLOCK and blocked and not case.person.is_active and erasure.enable(case.person):
        undone.append(_("The account was unblocked."))
    return undone


def _suspend(case: ModerationCase, until: datetime) -> datetime:
    assert case.person is not None
    suspension.suspend(case.person, until, case.notice or AGAINST_RULES)
    return until


def _block(person: User) -> None:
    try:
        erasure.disable(person)
    except erasure.LastAdministratorError as error:
        raise Conflict(str(error)) from None
