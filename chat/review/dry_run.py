"""Tries a rule, enabled or not, on the newest messages of its audience, before it is switched on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.lib.db import QueryTimeoutError, statement_timeout
from accounts.models import User
from accounts.quotas.plans import plan_field
from chat.models import Message, MessageStatus, Run
from chat.models.moderation import (
    CaseStatus,
    DecisionKind,
    Direction,
    ModerationCase,
    ModerationDecision,
    ModerationRule,
)
from chat.moderation.rules import Audience, compile_rules
from chat.review.case_file import Piece, mark

MESSAGES: Final = 1_000
SECONDS: Final = 10.0  # for the query, and again for the search
SHOWN: Final = 50  # messages with hits
CONTEXT: Final = 60  # characters beside a hit
_BATCH: Final = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A message with hits: the first of them in its context."""

    message: Message
    pieces: list[Piece]
    hits: int


@dataclass(slots=True)
class DryRun:
    """What a rule would have found. `judged` of its cases so far are decided, `right` of them not released.

    `complete` is false if the time was up before all of the messages were read.
    """

    read: int = 0
    with_hits: int = 0
    found: list[Found] = field(default_factory=list)
    ms: float = 0.0  # of searching
    complete: bool = True
    oldest: datetime | None = None
    judged: int = 0
    right: int = 0

    @property
    def ms_per_message(self) -> float:
        return self.ms / self.read if self.read else 0.0


def try_rule(rule: ModerationRule) -> DryRun:
    """Searches the last `MESSAGES` messages that the rule is meant for. Raises `QueryTimeoutError` when they cannot be
    read in time, and `ValueError` with a sentence for a rule that does not search messages.
    """
    found = DryRun()
    rules = compile_rules([rule])
    if not rules.known:
        raise ValueError("This rule cannot be compiled. Save it again to see why.")
    audience = _audience(rule)
    limit = time.perf_counter() + SECONDS
    for message in _messages(rule):
        if time.perf_counter() > limit:
            found.complete = False
            break
        began = time.perf_counter()
        hits = rules.screen(message.text, audience).hits
        found.ms += 1000 * (time.perf_counter() - began)
        found.read += 1
        found.oldest = message.created_at
        if hits:
            found.with_hits += 1
            if len(found.found) < SHOWN:
                spans = [(hit.start, hit.end) for hit in hits]
                found.found.append(Found(message, _in_context(message.text, spans), len(hits)))
    with statement_timeout(SECONDS):
        found.judged, found.right = precision(rule)
    return found


def precision(rule: ModerationRule) -> tuple[int, int]:
    """How many of the cases of a rule are decided, and in how many of them the last word was no release."""
    decided = ModerationCase.objects.filter(status=CaseStatus.DECIDED, rules__contains=[{"rule": str(rule.pk)}])
    decisions = ModerationDecision.objects.filter(case=OuterRef("pk")).exclude(kind=DecisionKind.RELEASE)
    final = decisions.filter(Q(case__appealed_at=None) | Q(decided_at__gte=OuterRef("appealed_at")))
    ids = list(decided.order_by("-decided_at").values_list("pk", flat=True)[:MESSAGES])
    return len(ids), ModerationCase.objects.filter(Exists(final), pk__in=ids).count()


def _messages(rule: ModerationRule) -> Iterator[Message]:
    with statement_timeout(SECONDS):
        rows = list(_newest(rule).values_list("pk", flat=True)[:MESSAGES])
    for start in range(0, len(rows), _BATCH):
        page = Message.objects.defer("html").in_bulk(rows[start : start + _BATCH])
        yield from (page[pk] for pk in rows[start : start + _BATCH] if pk in page)


def _newest(rule: ModerationRule) -> QuerySet[Message]:
    """The messages, newest first, whose author is in the rule's audience, or who asked for them. `ValueError`: none."""
    asked = {Direction.ASKED, Direction.SPOKEN} & set(rule.directions)
    answered = Direction.ANSWERED in rule.directions
    roles = (["user"] if asked else []) + (["assistant"] if answered else [])
    if not roles:
        raise ValueError("Only rules for what people write or say and for what models answer can be tried on messages.")
    rows = Message.objects.filter(role__in=roles).exclude(text="").exclude(
        status__in=(MessageStatus.PENDING, MessageStatus.STREAMING)
    )  # fmt: skip
    groups = [group.pk for group in rule.groups.all()]
    plans = [plan.pk for plan in rule.plans.all()]
    if groups or plans:
        people = User.objects.all()
        if groups:
            people = people.filter(groups__in=groups)
        if plans:
            people = people.annotate(used_plan=plan_field("pk")).filter(used_plan__in=plans)
        ids = people.values("pk")
        asked_for = Run.objects.filter(message=OuterRef("pk"), requested_by__in=ids)
        rows = rows.filter(Q(role="user", author__in=ids) | Q(Exists(asked_for), role="assistant"))
    if rule.only_models:
        wrote = Run.objects.filter(Q(message=OuterRef("pk")) | Q(prompt=OuterRef("pk")), model__in=rule.only_models)
        rows = rows.filter(Exists(wrote))
    return rows.order_by("-id")


def _audience(rule: ModerationRule) -> Audience:
    """Somebody whom the rule is meant for: the query has chosen the messages."""
    return Audience(
        frozenset(group.pk for group in rule.groups.all()),
        next((plan.pk for plan in rule.plans.all()), None),
        next(iter(rule.only_models), ""),
    )


def _in_context(text: str, spans: list[tuple[int, int]]) -> list[Piece]:
    """The surroundings of the first hit."""
    start = max(0, spans[0][0] - CONTEXT)
    end = min(len(text), spans[0][1] + CONTEXT)
    inside = [(a - start, min(b, end) - start) for a, b in spans if a < end]
    pieces = mark(text[start:end], inside)
    return [*([Piece("…")] if start else []), *pieces, *([Piece("…")] if end < len(text) else [])]


__all__ = ["DryRun", "Found", "QueryTimeoutError", "precision", "try_rule"]
