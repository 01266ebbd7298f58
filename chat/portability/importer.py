"""Imports conversations into a user's account: a file is read whole and checked, then saved one by one.

Nothing in the file is trusted. An invalid conversation is refused with a sentence that names the place, and the others
are imported. A conversation is saved completely or not at all. Ids are derived from the file's ids and the user
(UUIDv5), so importing a file again adds nothing.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from chat.markdown.pool import shared_pool
from chat.models import Conversation, Member, Message, MessageRole, MessageStatus, Role
from chat.portability import formats
from chat.portability.archive import MAX_BYTES, ImportRefusedError, read_documents
from chat.portability.formats import ImportedConversation
from chat.portability.message_tree import clean_text, normalise_tree


@dataclass(frozen=True)
class ImportOutcome:
    """What became of one conversation: `new`, `known`, or `refused` for a `reason`."""

    kind: str
    place: str
    messages: int = 0
    reason: str = ""


def read_file(file: Path | IO[bytes], *, max_bytes: int = MAX_BYTES) -> list[ImportedConversation]:
    """The conversations in a file, JSON or an archive of it, up to `max_bytes` unpacked.

    One that cannot be imported has an `error`. Raises `ImportRefusedError` when the whole file is refused, `OSError`
    when it cannot be read.
    """
    conversations: list[ImportedConversation] = []
    for name, data in read_documents(file, max_bytes=max_bytes):
        conversations += formats.read_conversations(name, data)
    for imported in conversations:
        if not imported.error:
            try:
                normalise_tree(imported)
            except ImportRefusedError as error:
                imported.error = str(error)
        imported.title = " ".join(clean_text(imported.title).split())[:200]
    return conversations


def import_conversations(
    user: User, conversations: list[ImportedConversation], *, dry_run: bool = False
) -> Iterator[ImportOutcome]:
    """Saves each conversation; with `dry_run`, only yields what would become of it."""
    for imported in conversations:
        if imported.error:
            yield ImportOutcome("refused", imported.place, reason=imported.error)
            continue
        created = not _exists(user, imported) and (dry_run or save_conversation(user, imported))
        yield ImportOutcome("new" if created else "known", imported.place, len(imported.messages))


def save_conversation(user: User, imported: ImportedConversation) -> bool:
    """Creates the conversation; False when it exists already, also in the trash."""
    conversation_id = _id(user, imported)
    ids = {message.id: uuid.uuid5(conversation_id, message.id) for message in imported.messages}
    with transaction.atomic():
        at = imported.messages[0].at or timezone.now()
        # `created_at` is the time of the import, so that retention (chat.retention.periods) counts from here.
        conversation, created = Conversation.objects.get_or_create(
            pk=conversation_id, defaults={"title": imported.title}
        )
        if not created:
            return False
        Member.objects.create(conversation=conversation, user=user, role=Role.OWNER)
        rows = []
        for message in imported.messages:
            # Later than the one before, also without a time in the file: siblings are shown by time.
            at = max(message.at or at, at + timedelta(microseconds=1))
            is_question = message.role == MessageRole.USER
            rows.append(
                Message(
                    id=ids[message.id],
                    conversation=conversation,
                    parent_id=ids[message.parent] if message.parent else None,
                    role=message.role,
                    author=user if is_question and message.mine else None,
                    text=message.text,
                    html="" if is_question else shared_pool().render(message.text),
                    status=MessageStatus.COMPLETE,
                    created_at=at,
                )
            )
        Message.objects.bulk_create(rows, batch_size=500)
        conversation.tip_id = ids[imported.tip] if imported.tip else rows[-1].pk
        conversation.updated_at = min(at, timezone.now())
        conversation.save(update_fields=["tip", "updated_at"])
    return True


def _exists(user: User, imported: ImportedConversation) -> bool:
    """Whether it was imported before or, when it is our own export, is still there under its own id."""
    if imported.native:
        with contextlib.suppress(ValueError):
            if Member.objects.filter(user=user, conversation_id=uuid.UUID(imported.id)).exists():
                return True
    return Conversation.objects.filter(pk=_id(user, imported)).exists()


def _id(user: User, imported: ImportedConversation) -> uuid.UUID:
    return uuid.uuid5(user.pk, imported.id)
