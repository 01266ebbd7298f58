"""What a notification says, and who is to get it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from accounts.auth.language import language_of
from accounts.auth.sessions import live_sessions
from accounts.lib.texts import gettext_noop
from chat.conversations.membership import WRITERS
from chat.markdown.words import shown_words
from chat.models import Conversation, Member, Message, PushSubscription, Run, WaitingFor
from chat.notifications.devices import with_session
from chat.notifications.notify import Kind

LONGEST_TEXT: Final = 140  # characters of a message that a notification shows
SITE: Final = "Antiphon"

_PLAIN: Final = {
    Kind.ANSWERED: gettext_noop("An answer is ready."),
    Kind.FAILED: gettext_noop("An answer failed."),
    Kind.WROTE: gettext_noop("There is a new message in a shared conversation."),
    Kind.MENTIONED: gettext_noop("You were mentioned in a conversation."),
    Kind.ADDED: gettext_noop("You were added to a conversation."),
    Kind.DECIDE: gettext_noop("An answer is waiting for your decision."),
}


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification for one device."""

    device: PushSubscription
    payload: bytes


def devices_for(
    kind: Kind, conversation_id: uuid.UUID, message_id: uuid.UUID | None, users: Sequence[uuid.UUID]
) -> list[Notification]:
    """The notifications for those of `users` who are members and have not read the message yet, on each of their
    devices.
    """
    member = Member.objects.filter(
        user=OuterRef("user"), conversation=conversation_id, conversation__deleted_at=None, user__is_active=True
    )
    message = None
    if kind is Kind.DECIDE:  # somebody may have decided meanwhile
        waiting = Run.objects.filter(conversation=OuterRef("conversation"), waiting_for=WaitingFor.APPROVAL)
        member = member.filter(Exists(waiting), role__in=WRITERS)
    if message_id is not None:
        message = Message.objects.select_related("author").filter(pk=message_id, conversation=conversation_id).first()
        if message is None:
            return []
        member = member.filter(seen_until__lt=message.created_at)
    rows = with_session(PushSubscription.objects.filter(Exists(member), user__in=users))
    rows = rows.filter(Q(retry_at=None) | Q(retry_at__lt=Now()))
    rows = rows.annotate(is_live=Exists(live_sessions().filter(hash=OuterRef("session_hash"))))
    devices: list[Any] = list(rows.select_related("user").order_by("user", "pk"))
    if not devices:
        return []
    conversation = Conversation.objects.only("title", "temporary").get(pk=conversation_id)
    made: dict[tuple[str, bool], bytes] = {}
    found = []
    for device in devices:
        # Who has to log in again first sees no text either.
        with_text = device.with_text and device.is_live and not conversation.temporary
        key = language_of(device.user), with_text
        if key not in made:
            with translation.override(key[0]):
                made[key] = _payload(kind, conversation, message if with_text else None, with_text=with_text)
        found.append(Notification(device, made[key]))
    return found


def _payload(kind: Kind, conversation: Conversation, message: Message | None, *, with_text: bool = False) -> bytes:
    """JSON for the service worker (templates/chat/service-worker.js)."""
    body = gettext(_PLAIN[kind])
    if with_text and message is not None and message.text:
        line = shown_words(message.text, message.html)
        line = line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
        body = f"{message.author.display_name}: {line}" if message.author else line
    return msgspec.json.encode(
        {
            "title": conversation.title or SITE if with_text else SITE,
            "body": body,
            "tag": str(conversation.pk),
            **({"kind": kind.value} if kind is Kind.DECIDE else {}),  # a page closes it when somebody has decided
            "url": reverse("chat:conversation", args=[conversation.pk]),
        }
    )
