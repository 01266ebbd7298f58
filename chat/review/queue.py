"""The review queue: filtered, the most severe and then the oldest first, in pages that each begin after a row.

No query counts or skips rows, so that ten thousand open cases are as quick as ten.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from chat.models.moderation import CaseOrigin, CaseStatus, Category, Direction, ModerationCase, Severity
from chat.review.decisions import CLAIM

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

PAGE: Final = 50
STATUSES: Final = {
    "waiting": _("Waiting"),
    "open": _("Open"),
    "appealed": _("Appealed"),
    "claimed": _("Claimed"),
    "decided": _("Decided"),
}
AGES: Final = {"1h": (1, _("Over 1 hour")), "24h": (24, _("Over 1 day")), "7d": (7 * 24, _("Over 7 days"))}
CLAIMS: Final = {"me": _("By me"), "nobody": _("By nobody"), "other": _("By others")}
ACTIONS: Final = {"flag": _("Flag"), "mask": _("Mask"), "hold": _("Hold"), "block": _("Block")}
CHOICES: Final[dict[str, Mapping[str, str | StrPromise]]] = {
    "status": STATUSES,
    "severity": {str(value): label for value, label in Severity.choices},
    "category": dict(Category.choices),
    "direction": dict(Direction.choices),
    "origin": dict(CaseOrigin.choices),
    "age": {key: label for key, (_hours, label) in AGES.items()},
    "claimed": CLAIMS,
}
TEXTS: Final = ("original", "original_reasoning", "appeal")  # no list loads them


@dataclass(frozen=True, slots=True)
class QueueQuery:
    """What a list asks for: chosen filters by name, and the row that its page begins after."""

    chosen: Mapping[str, str]
    person: uuid.UUID | None = None
    after: str = ""

    @property
    def is_decided(self) -> bool:
        return self.chosen.get("status") == CaseStatus.DECIDED

    def address(self, **other: str) -> str:
        """The query string of this list, with other values of some parameters."""
        named = {**self.chosen, "person": str(self.person or ""), **other}
        return urlencode({name: value for name, value in named.items() if value})


def parse_query(asked: Mapping[str, str]) -> QueueQuery:
    """The query of an address; unknown values are left out."""
    chosen = {name: asked[name] for name, offered in CHOICES.items() if asked.get(name) in offered}
    try:
        person = uuid.UUID(asked.get("person", ""))
    except ValueError:
        person = None
    return QueueQuery({"status": "waiting", **chosen}, person, asked.get("after", ""))


def read_page(viewer: User, query: QueueQuery) -> tuple[list[ModerationCase], str]:
    """The rows of a page without their texts, and what the next page begins after; empty if this is the last."""
    rows = list(_ordered(_after(_filtered(viewer, query), query), query)[: PAGE + 1])
    return rows[:PAGE], _key(rows[PAGE - 1], query) if len(rows) > PAGE else ""


def all_rows(viewer: User, query: QueueQuery) -> QuerySet[ModerationCase]:
    """All rows of a list without their texts, in no order."""
    return _filtered(viewer, query)


def next_case(viewer: User, query: QueueQuery, after: ModerationCase) -> uuid.UUID | None:
    """The next case of the list that `viewer` may review, else the first of it."""
    mine = _filtered(viewer, query).exclude(status=CaseStatus.DECIDED).exclude(pk=after.pk).exclude(person=viewer)
    mine = mine.exclude(~Q(claimed_by=viewer), status=CaseStatus.CLAIMED, claimed_at__gt=timezone.now() - CLAIM)
    mine = mine.exclude(decisions__decided_by=viewer).exclude(reports__reporter=viewer)
    begun = QueueQuery(query.chosen, query.person, _key(after, query))
    for rows in (_after(mine, begun), mine):
        if (found := _ordered(rows, query).values_list("pk", flat=True).first()) is not None:
            return found
    return None


def _filtered(viewer: User, query: QueueQuery) -> QuerySet[ModerationCase]:
    rows = ModerationCase.objects.defer(*TEXTS).select_related("person", "claimed_by")
    chosen = query.chosen
    if chosen["status"] == "waiting":
        rows = rows.exclude(status=CaseStatus.DECIDED)
    else:
        rows = rows.filter(status=chosen["status"])
    rows = rows.filter(
        **{name: chosen[name] for name in ("severity", "category", "direction", "origin") if name in chosen}
    )
    if "age" in chosen:
        rows = rows.filter(opened_at__lt=timezone.now() - timedelta(hours=AGES[chosen["age"]][0]))
    match chosen.get("claimed"):
        case "me":
            rows = rows.filter(claimed_by=viewer)
        case "nobody":
            rows = rows.filter(claimed_by=None)
        case "other":
            rows = rows.exclude(claimed_by=None).exclude(claimed_by=viewer)
    return rows.filter(person=query.person) if query.person else rows


def _ordered(rows: QuerySet[ModerationCase], query: QueueQuery) -> QuerySet[ModerationCase]:
    return rows.order_by("-decided_at", "-id") if query.is_decided else rows.order_by("-severity", "opened_at", "id")


def _key(row: ModerationCase, query: QueueQuery) -> str:
    at = row.decided_at if query.is_decided and row.decided_at else row.opened_at
    return f"{row.severity}|{at.isoformat()}|{row.pk}"


def _after(rows: QuerySet[ModerationCase], query: QueueQuery) -> QuerySet[ModerationCase]:
    """The rows after the query's `after`; all of them if it is invalid."""
    try:
        severity, moment, last = query.after.split("|")
        at, pk, level = datetime.fromisoformat(moment), uuid.UUID(last), int(severity)
    except ValueError:
        return rows
    if at.tzinfo is None:
        return rows
    if query.is_decided:
        return rows.filter(Q(decided_at__lt=at) | Q(decided_at=at, id__lt=pk), decided_at__lte=at)
    later = Q(opened_at__gt=at) | Q(opened_at=at, id__gt=pk)
    return rows.filter(Q(severity__lt=level) | (Q(severity=level) & later), severity__lte=level)


def shown_rows(rows: list[ModerationCase], viewer: User) -> list[dict[str, Any]]:
    """The rows of a list for its template. `rules` are names only."""
    return [
        {
            "case": row,
            "rules": ", ".join(dict.fromkeys(str(one.get("name") or one.get("judge") or "") for one in row.rules)),
            "action": str(ACTIONS.get(row.action, row.action)),
            "mine": row.claimed_by_id == viewer.pk,
            "own": row.person_id == viewer.pk,
        }
        for row in rows
    ]
