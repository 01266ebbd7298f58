"""Everything there is about one person: to be handed over (`export`), or to be erased (`erase`)."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

import structlog
from django.db import transaction

from accounts import erasure
from accounts.models import AuditEntry, Invitation, Session, User
from chat.models import ACTIVE, Conversation, Member, Message, Recording, Role, Run, Utterance
from chat.retention.purge import drop_logs

logger = structlog.get_logger(__name__)
ERASED: Final = "(erased)"


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
