"""A reader's own copy of a shared conversation: what they can read by the link, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.conversations.copying_files import copy_files
from chat.conversations.membership import check_may_write
from chat.models import Conversation, Member, Message, MessageRole, MessageStatus, Role, ShareLink
from chat.protocol.errors import Busy, Invalid
from chat.shares.reading import read_shared

MOST_COPIED: Final = 2_000  # messages: the last ones
MAX_TITLE: Final = 200
WRITING: Final = gettext_noop("An answer is still being written. Make your copy when it is finished.")
IN_PROGRESS: Final = (MessageStatus.PENDING, MessageStatus.STREAMING)


def copy_shared(link: ShareLink, user: User) -> Conversation:
    """Makes a conversation of the user's own of it, with the default model. The caller has checked that they may read.

    Of authors there are the names that the link shows. Raises `Suspended`, `Invalid` without messages, and `Busy`.
    """
    check_may_write(user.pk)
    title, messages = _read_all(link)
    if not messages:
        raise Invalid(_("There is nothing to copy yet."))
    if any(message["status"] in IN_PROGRESS for message in messages):
        raise Busy(WRITING)
    with transaction.atomic():
        copy = Conversation.objects.create(title=_("%(title)s (copy)") % {"title": title[: MAX_TITLE - 10]})
        Member.objects.create(conversation=copy, user=user, role=Role.OWNER)
        ids: dict[str, uuid.UUID] = {message["id"]: uuid7() for message in messages}
        rows = [_row(copy, message, ids) for message in messages]
        Message.objects.bulk_create(rows, batch_size=500)
        _copy_files(copy, user, messages, rows)
        copy.tip, copy.updated_at = rows[-1], timezone.now()
        copy.save(update_fields=["tip", "updated_at"])
    return copy


def _read_all(link: ShareLink) -> tuple[str, list[dict[str, Any]]]:
    page = read_shared(link)
    title, messages = page.title, page.messages
    while page.before and len(messages) < MOST_COPIED:
        page = read_shared(link, page.before)
        messages = page.messages + messages
    return title, messages[-MOST_COPIED:]


def _copy_files(
    copy: Conversation, user: User, messages: Sequence[dict[str, Any]], rows: Sequence[Message]
) -> None:  # fmt: skip
    """The files that the link shows, and no others."""
    counted = {uuid.UUID(shown["id"]): row for shown, row in zip(messages, rows, strict=True) if row.file_count}
    copy_files(copy, counted, user)


def _row(copy: Conversation, message: dict[str, Any], ids: dict[str, uuid.UUID]) -> Message:
    is_answer = message["role"] == MessageRole.ASSISTANT
    return Message(
        id=ids[message["id"]],
        conversation=copy,
        parent_id=ids.get(message["parent_id"] or ""),
        role=message["role"],
        author_name="" if is_answer else (message["author"] or {}).get("name", ""),
        text=message["text"] or _("(not shown)"),
        html=(message["html"] or "") if is_answer else "",
        status=message["status"] if is_answer else MessageStatus.COMPLETE,
        file_count=len(message.get("files", ())),
        created_at=parse_datetime(message["created_at"]) or timezone.now(),
    )
