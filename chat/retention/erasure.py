"""Erases a user: the account, and everything stored about them."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import erasure
from accounts.models import AuditEntry, Invitation, Session, User
from chat.conversations.file_removal import citing_answers
from chat.files.contents import delete_if_unused
from chat.files.uploads import discard
from chat.models import (
    ACTIVE,
    Attachment,
    Collection,
    Conversation,
    File,
    Folder,
    Member,
    Message,
    Preset,
    Prompt,
    PushSubscription,
    QueuedMessage,
    Recording,
    Revision,
    Role,
    Run,
    RunStatus,
    SharedMessage,
    ShareLink,
    Tag,
    ToolApproval,
    ToolCall,
    Upload,
    Utterance,
)
from chat.moderation.keeping import blank_cases
from chat.moderation.rewriting import republish
from chat.retention.purge import delete_event_logs
from chat.runs.ending import end_run
from chat.runs.step_texts import blank_calls

logger = structlog.get_logger(__name__)
ERASED: Final = "(erased)"
HANDOVERS_NAMED: Final = 50


@dataclass(frozen=True)
class Erased:
    """What an erasure did, or would do."""

    conversations_deleted: int
    conversations_left: int  # shared ones, which their other members keep
    conversations_handed_over: int  # of those, now owned by another member: the highest role, then the first to join
    messages_blanked: int
    queued_messages_deleted: int  # that wait for their turn, or were removed from a waiting line
    recordings_deleted: int
    presets_deleted: int  # the user's own, also those that others use; so for prompts
    prompts_deleted: int
    folders_deleted: int  # of the user's list, with their instructions
    tags_deleted: int
    devices_deleted: int  # that get notifications
    share_links_deleted: int
    files_deleted: int  # that the user attached, also in shared conversations and in copies that others have made
    collections_deleted: int  # also those that are shared with groups
    tool_calls_blanked: int  # of answers in shared conversations that the user asked for: arguments, results, files
    tool_approvals_deleted: int
    sessions_ended: int
    audit_entries_kept: int  # what this user did as staff; the database lets nobody delete them


def erase(user: User) -> Erased:
    """Deletes the account and its own conversations, and blanks its messages in shared ones. Its sockets close.

    All in one transaction. Raises `erasure.LastAdministratorError`.
    """
    with transaction.atomic():
        erasure.guard_last_administrator(user)
        erased = survey(user)
        alone, shared, orphaned = _sort_conversations(user)
        for conversation in orphaned:
            successor = _successor(conversation, user)
            Member.objects.filter(pk=successor.pk).update(role=Role.OWNER)
        _end_waiting_runs(user, shared)
        Message.objects.filter(conversation__in=shared, author=user).update(text=ERASED, html="", moderation={})
        blank_calls(_calls_of(user, shared))
        ToolCall.objects.filter(decided_by=user).exclude(reason="").update(reason="")
        _delete_files(user)
        copies = _blank_copies(user)
        _delete_earlier_texts(user)
        SharedMessage.objects.filter(message__author=user).update(text=ERASED, html="", moderation={})
        blank_cases(user)
        QueuedMessage.objects.filter(author=user).delete()
        Utterance.objects.filter(recording__user=user).delete()
        Recording.objects.filter(user=user).delete()
        Run.objects.filter(requested_by=user, conversation__in=shared, status__in=ACTIVE).update(requested_by=None)
        Conversation.objects.filter(pk__in=alone).delete()
        Invitation.objects.filter(email__iexact=user.email).delete()
        user.delete()
        # The event logs still have the messages. Clients without a log load a snapshot.
        transaction.on_commit(partial(delete_event_logs, [*alone, *shared, *copies]), robust=True)
    return erased


def _calls_of(user: User, conversations: list[uuid.UUID]) -> QuerySet[ToolCall]:
    """The calls of tools for the user's questions in these conversations."""
    return ToolCall.objects.filter(run__conversation__in=conversations, run__requested_by=user)


def _files_of(user: User) -> QuerySet[File]:
    """The user's files, and those of messages of the user in copies that others have made."""
    copied = Attachment.objects.filter(message__author=user).exclude(message__author_name="")
    return File.objects.filter(Q(owner=user) | Q(pk__in=copied.values("file")))


def _delete_files(user: User) -> None:
    """Deletes the user's files and uploads. Contents that nobody else has go with their bytes after the commit."""
    files = list(_files_of(user))
    citing = citing_answers([file.pk for file in files if file.collection_id is not None])
    File.objects.filter(pk__in=[file.pk for file in files]).delete()
    discard(Upload.objects.filter(owner=user).values_list("pk", flat=True))
    for message_id in citing:
        republish(message_id)
    for blob_id in {file.blob_id for file in files}:
        transaction.on_commit(partial(delete_if_unused, blob_id), robust=True)


def _blank_copies(user: User) -> list[uuid.UUID]:
    """Blanks the user's messages, and their name, in copies that others have made; the conversations concerned."""
    copied = Message.objects.filter(author=user).exclude(author_name="")
    conversations = list(copied.values_list("conversation_id", flat=True).distinct())
    copied.update(text=ERASED, html="", moderation={}, author_name="")
    return conversations


def _delete_earlier_texts(user: User) -> None:
    """Of messages that the user wrote, of answers that the user asked for, and what the user changed."""
    theirs = Q(message__author=user) | Q(changed_by=user) | Q(message__runs__requested_by=user)
    Revision.objects.filter(pk__in=Revision.objects.filter(theirs).values("pk")).delete()


def _end_waiting_runs(user: User, conversations: list[uuid.UUID]) -> None:
    """Nobody is left whose question a reviewer could release."""
    waiting = Run.objects.filter(
        Q(requested_by=user) | Q(prompt__author=user), conversation__in=conversations, status=RunStatus.WAITING
    )
    for run in waiting.order_by("pk"):
        end_run(run.pk, run.attempt, RunStatus.STOPPED)


def survey(user: User) -> Erased:
    """What `erase` would do, also for the last administrator, who cannot be erased."""
    alone, shared, orphaned = _sort_conversations(user)
    return Erased(
        conversations_deleted=len(alone),
        conversations_left=len(shared),
        conversations_handed_over=len(orphaned),
        messages_blanked=Message.objects.filter(conversation__in=shared, author=user).count(),
        queued_messages_deleted=QueuedMessage.objects.filter(author=user).count(),
        recordings_deleted=Recording.objects.filter(user=user).count(),
        presets_deleted=Preset.objects.filter(owner=user).count(),
        prompts_deleted=Prompt.objects.filter(owner=user).count(),
        folders_deleted=Folder.objects.filter(user=user).count(),
        tags_deleted=Tag.objects.filter(user=user).count(),
        devices_deleted=PushSubscription.objects.filter(user=user).count(),
        share_links_deleted=ShareLink.objects.filter(created_by=user).count(),
        files_deleted=_files_of(user).count(),
        collections_deleted=Collection.objects.filter(owner=user).count(),
        tool_calls_blanked=_calls_of(user, shared).count(),
        tool_approvals_deleted=ToolApproval.objects.filter(user=user).count(),
        sessions_ended=Session.objects.filter(user=user).count(),
        audit_entries_kept=AuditEntry.objects.filter(actor_id=user.pk).count(),
    )


def report(user: User) -> dict[str, int]:
    """What `erase` would do, by name, for `accounts.erasure`."""
    return asdict(survey(user))


def erase_due() -> int:
    """Erases the users whose grace period is over, one transaction each; returns how many. One that fails is logged and
    tried again the next time.
    """
    erased = 0
    for id_ in list(erasure.due().values_list("pk", flat=True)):
        try:
            with transaction.atomic():
                user = erasure.due().select_for_update(skip_locked=True).filter(pk=id_).first()
                if user is not None:  # nobody cancelled it meanwhile
                    erase(user)
                    erased += 1
        except Exception:
            logger.exception("user_erasure_failed", user_id=str(id_))
    return erased


def handovers(user: User) -> list[tuple[str, str]]:
    """The titles of conversations whose last owner the user is, and the names of the members who get them; the first
    `HANDOVERS_NAMED`.
    """
    _alone, _shared, orphaned = _sort_conversations(user)
    rows = Conversation.objects.filter(pk__in=orphaned).order_by("-updated_at")[:HANDOVERS_NAMED]
    return [(row.title, _successor(row.pk, user).user.display_name) for row in rows]


def _successor(conversation: uuid.UUID, user: User) -> Member:
    """Who becomes the owner of a shared conversation: the highest role, then the first to join."""
    others = Member.objects.filter(conversation=conversation).exclude(user=user)
    successor = others.select_related("user").order_by("role", "joined_at").first()
    assert successor is not None  # it is shared
    return successor


def _sort_conversations(user: User) -> tuple[list[uuid.UUID], list[uuid.UUID], list[uuid.UUID]]:
    """The conversations of this user alone; the shared ones; and those of them without another owner."""
    mine = list(Member.objects.filter(user=user).values_list("conversation_id", flat=True))
    others = Member.objects.filter(conversation_id__in=mine).exclude(user=user)
    shared = set(others.values_list("conversation_id", flat=True))
    owned = set(others.filter(role=Role.OWNER).values_list("conversation_id", flat=True))
    return ([one for one in mine if one not in shared], sorted(shared), sorted(shared - owned))
