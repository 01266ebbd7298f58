"""Everything there is about one person: to be handed over (`export`), or to be erased (`erase`)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import structlog
from django.db import transaction

from accounts import erasure
from accounts.models import AuditEntry, Invitation, Session, User
from chat import kept_audio
from chat.models import ACTIVE, Conversation, Member, Message, Recording, Role, Run, Utterance
from chat.retention import drop_logs

FORMAT: Final = "antiphon.export"
VERSION: Final = 1
ERASED: Final = "(erased)"

logger = structlog.get_logger(__name__)


def export(user: User) -> dict[str, Any]:
    """Plain data for JSON: account, sessions (without their keys), conversations with every branch, recordings
    with what is kept of their audio (a WAV file in base64, else null).
    """
    return {**_head(user), **{name: list(items) for name, items in _lists(user).items()}}


def pieces(user: User) -> Iterator[str]:
    """The same as JSON text, a conversation at a time: no more than one of them is in memory."""
    yield json.dumps(_head(user), ensure_ascii=False)[:-1]
    for name, items in _lists(user).items():
        yield f', "{name}": ['
        for number, item in enumerate(items):
            yield (",\n" if number else "\n") + json.dumps(item, ensure_ascii=False)
        yield "]"
    yield "}\n"


def _lists(user: User) -> dict[str, Iterator[dict[str, Any]]]:
    return {"conversations": _conversations(user), "recordings": _recordings(user)}


def _head(user: User) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "account": {
            "id": str(user.pk),
            "email": user.email,
            "name": user.name,
            "joined_at": user.date_joined.isoformat(),
            "last_login": user.last_login.isoformat() if user.last_login else None,
        },
        "sessions": [
            {
                "created_at": row.created_at.isoformat(),
                "last_seen_at": row.last_seen_at.isoformat(),
                "ip": row.ip,
                "user_agent": row.user_agent,
            }
            for row in Session.objects.filter(user=user).order_by("created_at")
        ],
    }


def _conversations(user: User) -> Iterator[dict[str, Any]]:
    memberships = Member.objects.filter(user=user).select_related("conversation").order_by("conversation_id")
    for member in memberships:
        yield conversation_data(member)


def conversation_data(member: Member) -> dict[str, Any]:
    """A conversation as one of its members takes it along: every branch, plain data for JSON."""
    conversation = member.conversation
    return {
        "id": str(conversation.pk),
        "title": conversation.title,
        "role": member.role,
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
        "pinned": conversation.pinned_at is not None,
        "temporary": conversation.temporary,
        "deleted_at": conversation.deleted_at.isoformat() if conversation.deleted_at else None,
        "tip": str(conversation.tip_id) if conversation.tip_id else None,
        "messages": [
            {
                "id": str(message.pk),
                "parent_id": str(message.parent_id) if message.parent_id else None,
                "role": message.role,
                "mine": message.author_id == member.user_id,
                "text": message.text,
                "status": message.status,
                "created_at": message.created_at.isoformat(),
            }
            for message in Message.objects.filter(conversation=conversation).order_by("created_at", "id")
        ],
    }


def _recordings(user: User) -> Iterator[dict[str, Any]]:
    for recording in Recording.objects.filter(user=user).prefetch_related("utterances").order_by("created_at"):
        yield {
            "id": str(recording.pk),
            "created_at": recording.created_at.isoformat(),
            "language": recording.language,
            "audio_wav": kept_audio.as_base64(recording),
            "utterances": [
                {"text": said.text, "start_ms": said.start_ms, "end_ms": said.end_ms}
                for said in sorted(recording.utterances.all(), key=lambda said: said.number)
            ],
        }


@dataclass(frozen=True)
class Erased:
    """What was, or would be, done."""

    conversations_deleted: int
    conversations_left: int  # shared ones, which others keep
    conversations_handed_over: int  # of those, now owned by the member who was there first
    messages_blanked: int
    recordings_deleted: int
    sessions_ended: int
    audit_entries_kept: int  # append-only by law of the database: what this person, as staff, looked at


def erase(user: User) -> Erased:
    """Deletes the account, what it alone had, and its words in shared conversations. Its sockets close.

    In one transaction: it is done or not done. Raises `erasure.LastAdministratorError`.
    """
    with transaction.atomic():
        erasure.guard_last_administrator(user)
        erased = survey(user)
        alone, shared, orphaned = _sort_conversations(user)
        for conversation in orphaned:
            heir = (
                Member.objects.filter(conversation=conversation)
                .exclude(user=user)
                .order_by("role", "joined_at")
                .first()
            )
            assert heir is not None  # it is shared
            Member.objects.filter(pk=heir.pk).update(role=Role.OWNER)
        Message.objects.filter(conversation__in=shared, author=user).update(text=ERASED, html="")
        Utterance.objects.filter(recording__user=user).delete()
        Recording.objects.filter(user=user).delete()
        Run.objects.filter(requested_by=user, conversation__in=shared, status__in=ACTIVE).update(requested_by=None)
        Conversation.objects.filter(pk__in=alone).delete()
        Invitation.objects.filter(email__iexact=user.email).delete()
        user.delete()
        # The logs still have their words; without one, clients take a snapshot.
        transaction.on_commit(partial(drop_logs, [*alone, *shared]), robust=True)
    return erased


def survey(user: User) -> Erased:
    """What `erase` would do. Of the last administrator too, who cannot be erased."""
    alone, shared, orphaned = _sort_conversations(user)
    return Erased(
        conversations_deleted=len(alone),
        conversations_left=len(shared),
        conversations_handed_over=len(orphaned),
        messages_blanked=Message.objects.filter(conversation__in=shared, author=user).count(),
        recordings_deleted=Recording.objects.filter(user=user).count(),
        sessions_ended=Session.objects.filter(user=user).count(),
        audit_entries_kept=AuditEntry.objects.filter(actor_id=user.pk).count(),
    )


def report(user: User) -> dict[str, int]:
    """The same by name, for `accounts.erasure`."""
    return asdict(survey(user))


def erase_due() -> int:
    """Erases everybody whose grace is over, one transaction each; how many they were. One that fails stays for the
    next time and holds up nobody.
    """
    erased = 0
    for id_ in list(erasure.due().values_list("pk", flat=True)):
        try:
            with transaction.atomic():
                user = erasure.due().select_for_update(skip_locked=True).filter(pk=id_).first()
                if user is not None:  # nobody called it off at this moment
                    erase(user)
                    erased += 1
        except Exception:
            logger.exception("not_erased", user_id=str(id_))
    return erased


def _sort_conversations(user: User) -> tuple[list[uuid.UUID], list[uuid.UUID], list[uuid.UUID]]:
    """Conversations that are this person's alone; shared ones; and of those the ones without another owner."""
    mine = list(Member.objects.filter(user=user).values_list("conversation_id", flat=True))
    others = Member.objects.filter(conversation_id__in=mine).exclude(user=user)
    shared = set(others.values_list("conversation_id", flat=True))
    owned = set(others.filter(role=Role.OWNER).values_list("conversation_id", flat=True))
    return ([one for one in mine if one not in shared], sorted(shared), sorted(shared - owned))
