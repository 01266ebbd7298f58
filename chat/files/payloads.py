"""Files as clients see them, and the files of messages."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from chat.files.reading_reasons import sentence_of
from chat.models import Attachment, File, Message, QueuedMessage

# Actions of moderation on a message whose files are withheld with its text.
_WITHHELD: Final = ("hold", "block", "withdrawn")


def file_dict(file: File) -> dict[str, Any]:
    """A file as sent to clients. `file.blob` should be loaded."""
    blob = file.blob
    shown: dict[str, Any] = {
        "id": str(file.pk),
        "name": file.name,
        "media_type": blob.media_type,
        "kind": blob.kind,
        "size": blob.size,
        "state": blob.state,
        "thumbnail": bool(blob.thumbnail),
    }
    if blob.reason:
        shown["reason"] = sentence_of(blob.reason)
    if blob.parts is not None:
        shown["parts"] = blob.parts
    if blob.characters:
        shown["characters"] = blob.characters
    if blob.width and blob.height:
        shown |= {"width": blob.width, "height": blob.height}
    if file.pasted:
        shown["pasted"] = True
    return shown


def shows_files(message: Message) -> bool:
    """Whether the readers of a message see its files: not if it is deleted, or withheld by moderation."""
    return message.deleted_at is None and message.moderation.get("action") not in _WITHHELD


def load_files(messages: Iterable[Message]) -> None:
    """Reads the files of these messages, in one query, and in none where no message has any."""
    wanted = {message.pk: message for message in messages if message.file_count}
    if not wanted:
        return
    found: dict[uuid.UUID, list[File]] = {pk: [] for pk in wanted}
    rows = Attachment.objects.filter(message__in=wanted).select_related("file__blob").order_by("position")
    for row in rows:
        found[row.message_id].append(row.file)
    for pk, message in wanted.items():
        message.shown_files = found[pk]


def files_of(message: Message) -> Sequence[File]:
    """The files of a message, in order; without a query if it has none, or they were loaded."""
    if not message.file_count:
        return ()
    if message.shown_files is None:
        load_files([message])
    return message.shown_files or ()


def message_files(message: Message) -> dict[str, Any]:
    """What a message's payload says of its files: `files`, and how many of them were deleted (`deleted_files`)."""
    if not message.file_count or not shows_files(message):
        return {}
    files = files_of(message)
    shown: dict[str, Any] = {"files": [file_dict(file) for file in files]}
    if gone := message.file_count - len(files):
        shown["deleted_files"] = gone
    return shown


def load_queued_files(rows: Iterable[QueuedMessage]) -> None:
    """Reads the files of messages that wait, in one query, and in none where no message has any."""
    wanted = {row: row.command["attachments"] for row in rows if row.command.get("attachments")}
    if not wanted:
        return
    ids = {one for attached in wanted.values() for one in attached}
    found = {str(file.pk): file for file in File.objects.select_related("blob").filter(pk__in=ids)}
    for row, attached in wanted.items():
        row.shown_files = [found[one] for one in attached if one in found]


def files_of_queued(row: QueuedMessage) -> Sequence[File]:
    """The files of a message that waits; those that were deleted are left out."""
    if row.shown_files is None:
        load_queued_files([row])
    return row.shown_files or ()
