"""A user's trash: the conversations that they own and deleted, for how long they are kept, and deleting them now."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.quotas.plans import plan_field
from chat.conversations.listing import parse_position
from chat.conversations.organising import AT_ONCE, check_ids
from chat.models import UNDER_WAY, Conversation, Member, ModerationCase, Role, Run
from chat.protocol.errors import Forbidden, Invalid, NotFound
from chat.retention.purge import delete_event_logs

PAGE: Final = 100
NOT_ALLOWED: Final = "This site keeps deleted conversations for a set time."
UNDER_REVIEW: Final = (
    "A reviewer is looking at a message of it. It is deleted by itself at the end of its time in the trash."
)
BUSY: Final = "An answer is still in progress in it. Stop it, or try again in a moment."

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trashed:
    """`days_left` until it is deleted for good, 0: today; None: it is kept until somebody deletes it."""

    id: uuid.UUID
    title: str
    deleted_at: datetime.datetime
    days_left: int | None


@dataclass(frozen=True, slots=True)
class TrashPage:
    """`next` is the position at which the page after this one begins; empty at the end."""

    rows: list[Trashed]
    total: int
    next: str


def trash_of(user_id: uuid.UUID) -> QuerySet[Conversation]:
    """What the user may restore: deleted conversations that they own, in no order."""
    owned = Member.objects.filter(user_id=user_id, role=Role.OWNER, conversation=OuterRef("pk"))
    return Conversation.objects.filter(Exists(owned), temporary=False).exclude(deleted_at=None)


def read_trash(user_id: uuid.UUID, now: datetime.datetime, *, after: str = "") -> TrashPage:
    """A page of the trash, what was deleted last first. Of several owners the longest period counts. Raises
    `Invalid`.
    """
    rows = trash_of(user_id)
    total = rows.count()
    if after:
        moment, last = parse_position(after, "Invalid position in the trash.")
        rows = rows.filter(Q(deleted_at__lt=moment) | Q(deleted_at=moment, pk__lt=last))
    days: Any = Coalesce(plan_field("trash_days", "memberships__user__"), settings.KEEP_DELETED_DAYS)
    longest = Max(days, filter=Q(memberships__role=Role.OWNER))
    found = list(
        rows.annotate(days=longest).order_by("-deleted_at", "-pk").values_list("pk", "title", "deleted_at", "days")
        [: PAGE + 1]
    )  # fmt: skip
    shown = [Trashed(pk, title, at, _days_left(at, kept, now)) for pk, title, at, kept in found[:PAGE] if at]
    last_row = shown[-1] if len(found) > PAGE else None
    return TrashPage(shown, total, f"{last_row.deleted_at.isoformat()}~{last_row.id}" if last_row else "")


def may_delete_now() -> bool:
    """Whether the site lets people delete conversations before their time in the trash is over."""
    return bool(settings.TRASH_DELETE_NOW)


def delete_now(user_id: uuid.UUID, ids: Collection[uuid.UUID] | None) -> dict[str, int]:
    """Deletes conversations of the user's trash for good: those named, or (None) up to `AT_ONCE` of all.

    Those with an answer in progress, and those with a message that a reviewer looks at, stay (`kept`). Returns also
    how many are `done`. Raises `Forbidden` if the site does not allow it, `NotFound`, and `Invalid` if none may go.
    """
    if not may_delete_now():
        raise Forbidden(NOT_ALLOWED)
    rows = trash_of(user_id)
    if ids is not None:
        check_ids(ids)
        rows = rows.filter(pk__in=ids)
    running = Exists(Run.objects.filter(conversation=OuterRef("pk"), status__in=UNDER_WAY))
    reviewed = Exists(ModerationCase.objects.filter(conversation=OuterRef("pk")).exclude(status="decided"))
    with transaction.atomic():
        chosen = list(rows.order_by("pk").values_list("pk", flat=True)[: AT_ONCE + 1])
        if not chosen:
            raise NotFound
        free = rows.filter(~running, ~reviewed).select_for_update(of=("self",)).order_by("pk")
        doomed = list(free.values_list("pk", flat=True)[:AT_ONCE])
        if not doomed:
            raise Invalid(UNDER_REVIEW if rows.filter(reviewed).exists() else BUSY)
        Conversation.objects.filter(pk__in=doomed).delete()
        transaction.on_commit(lambda: delete_event_logs(doomed))
    left = rows.count()
    kept = 0 if ids is None and len(chosen) > AT_ONCE else left
    logger.info("trash_emptied", conversations=len(doomed), kept=kept)
    return {"done": len(doomed), "kept": kept, "left": left}


def _days_left(deleted_at: datetime.datetime, kept: int | None, now: datetime.datetime) -> int | None:
    if kept is None:
        return None
    ends = deleted_at + datetime.timedelta(days=kept)
    return max(0, math.ceil((ends - now) / datetime.timedelta(days=1)))
