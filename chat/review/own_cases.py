"""What a person may read of the cases about their own texts: what happened, why, what was decided, and their appeal."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop, retold
from accounts.models import User
from chat.models import File
from chat.models.moderation import (
    Action,
    CaseStatus,
    CaseTarget,
    DecisionKind,
    Direction,
    ModerationCase,
    ModerationDecision,
    ModerationReport,
)
from chat.review.announcements import statement_of
from chat.review.decisions import is_appeal

SHOWN: Final = 100
HAPPENED: Final = {
    Action.MASK: gettext_noop("Parts were replaced"),
    Action.HOLD: gettext_noop("Held for a reviewer"),
    Action.BLOCK: gettext_noop("Refused"),
    Action.FLAG: gettext_noop("Reviewed"),
}
WHAT: Final = {
    CaseTarget.MESSAGE: gettext_noop("A message"),
    CaseTarget.REFUSED: gettext_noop("A message that was not sent"),
    CaseTarget.TITLE: gettext_noop("A title of a conversation"),
    CaseTarget.NAME: gettext_noop("Your name"),
    CaseTarget.PRESET: gettext_noop("A preset, prompt or instruction"),
    CaseTarget.FILE: gettext_noop("A file of an answer to you"),
    CaseTarget.CALL: gettext_noop("What a tool was asked in an answer to you"),
    CaseTarget.RESULT: gettext_noop("What a tool returned in an answer to you"),
}


def known_cases(user: User) -> QuerySet[ModerationCase]:
    """The cases about the user's texts that they were told of, the newest first."""
    against = ModerationDecision.objects.filter(case=OuterRef("pk")).exclude(kind=DecisionKind.RELEASE)
    rows = ModerationCase.objects.filter(~Q(action=Action.FLAG) | Exists(against), person=user)
    return rows.order_by("-opened_at").prefetch_related("decisions")


def unseen_cases(user: User) -> QuerySet[ModerationCase]:
    """Those whose decision the user has not read yet."""
    return known_cases(user).filter(status=CaseStatus.DECIDED, seen_at=None).prefetch_related(None).order_by()


def mark_seen(user: User) -> None:
    """The user has read what was decided so far."""
    ModerationCase.objects.filter(person=user, status=CaseStatus.DECIDED, seen_at=None).update(seen_at=timezone.now())


def shown_case(case: ModerationCase) -> dict[str, Any]:
    """A case for its person. A refused message is shown to them: they wrote it."""
    decisions = list(case.decisions.all())
    against = any(one.kind != DecisionKind.RELEASE for one in decisions)
    is_decided = case.status == CaseStatus.DECIDED
    final = is_decided and case.appealed_at is not None
    what = WHAT[CaseTarget(case.target)]
    if case.target == CaseTarget.MESSAGE and case.direction == "answered":
        what = gettext_noop("An answer to you")
    if case.target == CaseTarget.FILE and File.objects.filter(pk=case.target_id).exists():
        what = gettext_noop("A file that you attached")
    if case.target == CaseTarget.FILE and case.direction == Direction.NAMED:
        what = gettext_noop("A file's name")
    if case.target == CaseTarget.REFUSED and case.action == Action.MASK:
        what = gettext_noop("What you said, or entered for a tool")
    return {
        "id": str(case.pk),
        "what": _(what),
        "happened": _happened(case),
        "reason": retold(case.notice),
        "opened_at": case.opened_at,
        "conversation_id": case.conversation_id,
        "text": case.original if case.target == CaseTarget.REFUSED else "",
        "status": _status(case),
        "decisions": [{"at": one.decided_at, "said": statement_of(case, one)} for one in decisions],
        "appeal": case.appeal,
        "may_appeal": (is_decided and against and not final) or (not is_decided and not case.appeal),
        "asks_before": not is_decided,
        "final": final,
    }  # fmt: skip


def _happened(case: ModerationCase) -> str:
    if case.target == CaseTarget.FILE and case.direction == Direction.FILES and case.action == Action.BLOCK:
        return _("Withheld from the model")
    stops = case.target in (CaseTarget.MESSAGE, CaseTarget.CALL, CaseTarget.RESULT) and case.direction == "answered"
    if stops and case.action == Action.BLOCK:
        return _("Stopped")
    return _(HAPPENED[Action(case.action)])


def _status(case: ModerationCase) -> str:
    if is_appeal(case):
        return _("Your appeal is waiting for another reviewer")
    if case.status == CaseStatus.DECIDED:
        return _("Decided")
    return _("Waiting for a reviewer")


def export_cases(user: User) -> dict[str, list[dict[str, Any]]]:
    """The user's cases and reports as plain data for JSON."""
    cases = []
    for case in known_cases(user):
        shown = shown_case(case)
        cases.append(
            {name: shown[name] for name in ("id", "what", "happened", "reason", "text", "status", "appeal")}
            | {
                "opened_at": case.opened_at.isoformat(),
                "conversation_id": _id(case.conversation_id),
                "decisions": [{"at": one["at"].isoformat(), "said": one["said"]} for one in shown["decisions"]],
            }
        )
    reports = ModerationReport.objects.filter(reporter=user).select_related("case").order_by("reported_at")
    return {
        "moderation_cases": cases,
        "reports": [
            {"message_id": str(one.case.target_id), "reason": one.reason, "note": one.note,
             "reported_at": one.reported_at.isoformat()}
            for one in reports
        ],
    }  # fmt: skip


def _id(value: uuid.UUID | None) -> str | None:
    return str(value) if value else None
