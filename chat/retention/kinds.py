"""Which data is expired, by kind (docs/operations.md); `chat.retention.purge` deletes it.

Conversations with an answer in progress are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Session
from chat.models import (
    UNDER_WAY,
    Conversation,
    ExportJob,
    ImportJob,
    PushSubscription,
    QueuedMessage,
    QueuedState,
    Recording,
    RecordingStatus,
    Revision,
    Run,
    ShareLink,
    StaffExport,
    Submission,
    ToolCall,
    ToolFile,
    WebhookDelivery,
)
from chat.moderation.keeping import expired_cases
from chat.retention import stored_files
from chat.retention.periods import AGE, TEMPORARY, TRASH, past_retention
from chat.runs.step_texts import blank_outputs
from chat.voice import audio_files

ENDED: Final = (RecordingStatus.DONE, RecordingStatus.CANCELLED, RecordingStatus.FAILED)
ENDED_LINKS_DAYS: Final = 30  # of expired and revoked share links, with the texts of their snapshots
ENDED_TRANSFER_DAYS: Final = 30  # of imports, which can be undone until then, and of exports that failed


@dataclass(frozen=True)
class PurgeKind:
    """Rows that are deleted for one reason. `expired` selects those past their retention at a moment.

    `batch`: rows in the first transaction; those after it have more or fewer, by what depended on them. With a `delete`
    of its own, which does more than delete rows, all have this size.
    """

    name: str
    reason: str
    expired: Callable[[datetime], QuerySet[Any]]
    batch: int
    delete: Callable[[QuerySet[Any]], object] | None = None
    by_time: bool = True  # else by what was deleted: chosen once more at the end of a purge


def _trash(now: datetime) -> QuerySet[Conversation]:
    return past_retention(TRASH, _idle().exclude(deleted_at=None), now)


def _temporary(now: datetime) -> QuerySet[Conversation]:
    return past_retention(TEMPORARY, _idle().filter(temporary=True), now).exclude(pk__in=_trash(now).values("pk"))


def _aged(now: datetime) -> QuerySet[Conversation]:
    """Pinned conversations do not expire by age, unless they are in the trash."""
    rows = _idle().filter(temporary=False).exclude(pinned_at__isnull=False, deleted_at=None)
    return past_retention(AGE, rows, now).exclude(pk__in=_trash(now).values("pk"))


def _idle() -> QuerySet[Conversation]:
    """Those without an answer in progress. One that waits for a person may wait for ever: it keeps nothing."""
    return Conversation.objects.filter(~Exists(Run.objects.filter(conversation=OuterRef("pk"), status__in=UNDER_WAY)))


def _orphaned_devices(now: datetime) -> QuerySet[PushSubscription]:
    alive = Session.objects.filter(hash=OuterRef("session_hash"), user=OuterRef("user"))
    return PushSubscription.objects.filter(~Exists(alive))


def _tool_outputs(now: datetime) -> QuerySet[ToolCall]:
    """Those of calls that have ended, where something is left of them; none where they are kept."""
    if settings.KEEP_TOOL_OUTPUT_DAYS is None:
        return ToolCall.objects.none()
    until = now - timedelta(days=settings.KEEP_TOOL_OUTPUT_DAYS)
    has_files = Exists(ToolFile.objects.filter(call=OuterRef("pk")))
    return ToolCall.objects.filter(~Q(output="") | has_files, created_at__lt=until, ended_at__lt=until)


# Few conversations in the first batch: one may have thousands of messages.
KINDS: Final = (
    PurgeKind("trash", "conversations in the trash longer than their owner's plan allows", _trash, 10),
    PurgeKind("temporary", "temporary conversations past their retention", _temporary, 10),
    PurgeKind("age", "conversations past their plan's retention", _aged, 10),
    PurgeKind("sessions", "expired sessions", lambda now: Session.objects.filter(expire_date__lt=now), 500),
    PurgeKind("devices", "notified devices whose session has ended", _orphaned_devices, 200, by_time=False),
    PurgeKind(
        "submissions",
        "idempotency records older than KEEP_SUBMISSION_DAYS",
        lambda now: Submission.objects.filter(created_at__lt=now - timedelta(days=settings.KEEP_SUBMISSION_DAYS)),
        500,
    ),
    PurgeKind(
        "queued",
        "removed messages of waiting lines older than KEEP_SUBMISSION_DAYS",
        lambda now: QueuedMessage.objects.filter(
            state=QueuedState.REMOVED, changed_at__lt=now - timedelta(days=settings.KEEP_SUBMISSION_DAYS)
        ),
        500,
    ),
    PurgeKind(
        "revisions",
        "earlier texts of messages older than KEEP_REVISION_DAYS",
        lambda now: Revision.objects.filter(changed_at__lt=now - timedelta(days=settings.KEEP_REVISION_DAYS)),
        500,
    ),
    PurgeKind(
        "audio", "audio of recordings past their plan's retention", audio_files.expired, 50, audio_files.delete_audio
    ),
    PurgeKind(
        "recordings",
        "transcripts of recordings older than KEEP_RECORDING_DAYS without audio",
        lambda now: Recording.objects.filter(
            status__in=ENDED, audio="", created_at__lt=now - timedelta(days=settings.KEEP_RECORDING_DAYS)
        ),
        200,
    ),
    PurgeKind(
        "share_links",
        f"share links that ended more than {ENDED_LINKS_DAYS} days ago",
        lambda now: ShareLink.objects.filter(
            Q(expires_at__lt=now - timedelta(days=ENDED_LINKS_DAYS))
            | Q(revoked_at__lt=now - timedelta(days=ENDED_LINKS_DAYS))
        ),
        50,
    ),
    PurgeKind(
        "tool_outputs",
        "results of tools and files that they made, older than KEEP_TOOL_OUTPUT_DAYS",
        _tool_outputs,
        100,
        blank_outputs,
    ),
    PurgeKind(
        "webhooks",
        "deliveries of webhooks older than KEEP_WEBHOOK_DAYS",
        lambda now: WebhookDelivery.objects.filter(created_at__lt=now - timedelta(days=settings.KEEP_WEBHOOK_DAYS)),
        500,
    ),
    PurgeKind(
        "exports",
        "exports that can no longer be downloaded",
        lambda now: ExportJob.objects.filter(
            Q(expires_at__lt=now) | Q(expires_at=None, ended_at__lt=now - timedelta(days=ENDED_TRANSFER_DAYS))
        ),
        20,
    ),
    PurgeKind(
        "staff_exports",
        "exports of staff's lists that can no longer be downloaded",
        lambda now: StaffExport.objects.filter(
            Q(expires_at__lt=now) | Q(expires_at=None, ended_at__lt=now - timedelta(days=ENDED_TRANSFER_DAYS))
        ),
        20,
    ),
    PurgeKind(
        "imports",
        f"reports of imports that ended more than {ENDED_TRANSFER_DAYS} days ago",
        lambda now: ImportJob.objects.filter(ended_at__lt=now - timedelta(days=ENDED_TRANSFER_DAYS)),
        20,
    ),
    PurgeKind(
        "uploads",
        "uploads that were not continued for UPLOAD_HOURS",
        stored_files.abandoned_uploads,
        100,
        stored_files.delete_uploads,
    ),
    PurgeKind(
        "files",
        "files of no message, and of messages deleted more than KEEP_REVISION_DAYS ago",
        stored_files.unattached,
        200,
    ),
    PurgeKind(
        "contents",
        "stored contents of which there is no file",
        stored_files.unused,
        50,
        stored_files.delete_contents,
        by_time=False,
    ),
    PurgeKind("cases", "decided moderation cases past their plan's retention", expired_cases, 200),
)
