"""Files of a message that is sent: checked and locked before it is inserted, and joined with it after.

A message without files costs no query here.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.lib.texts import gettext_noop
from chat.files.access import shown_in_messages
from chat.files.payloads import shows_files
from chat.models import Attachment, File, Message
from chat.models.conversations import title_from
from chat.protocol.commands import MessageEdit, MessageRegenerate, MessageSend, NewTurn, QueuedSend, clean_text
from chat.protocol.errors import Invalid, TooLarge

GONE: Final = gettext_noop("One of the files no longer exists. Remove it and send the message again.")
ELSEWHERE: Final = gettext_noop(
    "One of the files belongs to another conversation or to a collection. Add it here again from your files, then send "
    "the message."
)


def clean_message(text: str, attachments: Sequence[uuid.UUID] | None, *, edited: bool = False) -> str:
    """`clean_text` of a message, which may be empty if it has files. `edited`: it may have those it had before.

    Raises `Invalid` and `TooLarge`.
    """
    may_be_empty = bool(attachments) or (edited and attachments is None)
    return clean_text(text, may_be_empty=may_be_empty)


def lock_files(
    user_id: uuid.UUID, conversation_id: uuid.UUID | None, command: NewTurn, text: str
) -> list[File]:  # fmt: skip
    """The files that a command attaches, in its order, locked until the transaction is over.

    They are the user's own that wait in the composer, or files of the conversation. An edit that names none has those
    of the message that it edits. Raises `Invalid` and `TooLarge`, also for a message with neither text nor files.
    """
    if isinstance(command, MessageRegenerate):
        return []
    if command.attachments:
        files = _own(user_id, conversation_id, command)
        if not files and not text.strip():
            raise Invalid(_(GONE))
        return files
    if command.attachments is not None:
        return []
    if isinstance(command, MessageSend):
        return []
    files = _of_edited(command)
    if not files and not text.strip():
        raise Invalid(_("The text is empty."))
    return files


def _own(
    user_id: uuid.UUID, conversation_id: uuid.UUID | None, command: MessageSend | MessageEdit
) -> list[File]:  # fmt: skip
    """Of a message that waited, files that were deleted meanwhile are left out."""
    wanted = list(dict.fromkeys(command.attachments or ()))
    _check_count(len(wanted))
    found = {file.pk: file for file in _locked().filter(pk__in=wanted)}
    here = [pk for pk, file in found.items() if file.conversation_id == conversation_id and conversation_id]
    others = [pk for pk in here if found[pk].owner_id != user_id]
    shown = set(File.objects.filter(shown_in_messages(), pk__in=others).values_list("pk", flat=True)) if others else ()
    files = []
    for pk in wanted:
        file = found.get(pk)
        if file is None and isinstance(command, QueuedSend):
            continue
        if file is None or (file.owner_id != user_id and pk not in shown):
            raise Invalid(_(GONE))
        if file.collection_id is not None or (file.conversation_id is not None and pk not in here):
            raise Invalid(_(ELSEWHERE))
        files.append(file)
    return files


def _locked() -> QuerySet[File]:
    return File.objects.select_related("blob").select_for_update(of=("self",)).order_by("pk")


def _check_count(count: int) -> None:
    most = settings.FILES_PER_MESSAGE
    if count > most:
        said = ngettext(
            "A message can have at most %(most)d file.", "A message can have at most %(most)d files.", most
        )  # fmt: skip
        raise TooLarge(said % {"most": most})


def _of_edited(command: MessageEdit) -> list[File]:
    """The files that the edited message still has; no further query if it was sent without any."""
    edited = Message.objects.filter(pk=command.message_id).values_list("file_count", flat=True).first()
    if not edited:
        return []
    rows = Attachment.objects.filter(message=command.message_id).order_by("position")
    ids = list(rows.values_list("file_id", flat=True))
    found = {file.pk: file for file in _locked().filter(pk__in=ids)}
    return [found[pk] for pk in ids if pk in found]


def attach(message: Message, files: Sequence[File]) -> None:
    """Joins locked files with a message that has been inserted with its `file_count`. Within the same transaction."""
    if not files:
        return
    claim(files, message.conversation_id)
    Attachment.objects.bulk_create(
        [Attachment(message=message, file=file, position=position) for position, file in enumerate(files)]
    )


def claim(files: Sequence[File], conversation_id: uuid.UUID) -> None:
    """Makes locked files belong to a conversation."""
    if new := [file.pk for file in files if file.conversation_id is None]:
        File.objects.filter(pk__in=new).update(conversation=conversation_id)


def title_of(message: Message) -> str:
    """The title of a conversation that begins with this message: its first words, else the name of its first file."""
    files = message.shown_files if shows_files(message) else ()
    return title_from(message.text) or (title_from(files[0].name) if files else "")


def note_files(message: Message, files: Sequence[File]) -> None:
    """Notes the files of a message that is about to be inserted."""
    message.file_count, message.shown_files = len(files), list(files)
