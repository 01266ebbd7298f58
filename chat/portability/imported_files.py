"""The files of an import of our own export: their contents come from the archive, under the limits of uploads.

Each is stored before its conversation is: interrupted in between, the next attempt finds it by its id, which is derived
from the conversation's and the file's, or the purge deletes it as any file that waits in no composer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings

from accounts.models import User
from chat.files.library import MAX_NAME
from chat.files.names import clean_name
from chat.files.storing import store_file
from chat.models import Attachment, File, Message
from chat.models.moderation import CaseTarget
from chat.moderation.screening import screen_field
from chat.portability import refusals
from chat.portability.archived_files import ArchivedFiles
from chat.portability.formats import ImportedConversation, ImportedFile
from chat.portability.formats.base import ATTACHMENT
from chat.portability.json_stream import ImportRefusedError
from chat.protocol.errors import ChatError, Conflict, Moderated, QuotaExceeded, TooLarge, Unavailable

MAX_REPORTED: Final = 20  # files of one conversation


@dataclass(slots=True)
class StoredFiles:
    """What became of the files of one conversation or collection: those stored, by their ids in the file, and of the
    others how many there were, and the name and reason of the first ones.
    """

    files: dict[str, uuid.UUID] = field(default_factory=dict)
    left_out: int = 0
    report: list[tuple[str, str]] = field(default_factory=list)

    def leave_out(self, name: str, reason: str) -> None:
        self.left_out += 1
        if len(self.report) < MAX_REPORTED:
            self.report.append((clean_name(name), reason))


def store_files(
    user: User, owner_id: uuid.UUID, document: str, wanted: Iterable[ImportedFile], archive: ArchivedFiles,
    on_stored: Callable[[], None],
) -> StoredFiles:  # fmt: skip
    """Stores the contents of files of a conversation or collection, whose id is `owner_id`; what cannot be is left out
    with its reason. `on_stored` is called after each. Raises `Unavailable` and `OSError` if the storage is away.
    """
    stored = StoredFiles()
    seen: set[str] = set()
    for one in wanted:
        if one.id in seen:
            continue
        seen.add(one.id)
        if not archive.exists:
            stored.left_out += 1  # the import says so once
            continue
        try:
            stored.files[one.id] = _store(user, _file_id(owner_id, one.id), document, one, archive)
        except ImportRefusedError as error:
            stored.leave_out(one.name, str(error))
        except Unavailable:
            raise
        except ChatError as error:
            stored.leave_out(one.name, _reason(error))
        on_stored()
    return stored


def _store(user: User, file_id: uuid.UUID, document: str, one: ImportedFile, archive: ArchivedFiles) -> uuid.UUID:
    info = archive.find(document, one.path)
    if not info.file_size:
        raise ImportRefusedError(refusals.FILE_EMPTY)
    name = screen_field(clean_name(one.name), user.pk, CaseTarget.FILE, file_id, longest=MAX_NAME)
    return store_file(user.pk, file_id, name, info.file_size, archive.read(info)).pk


def _reason(error: ChatError) -> str:
    """Why a file is left out, as the report stores it: in English."""
    if isinstance(error, TooLarge):
        return refusals.FILE_TOO_LARGE
    if isinstance(error, QuotaExceeded):
        return refusals.NO_ROOM
    if isinstance(error, Moderated):
        return refusals.FILE_MODERATED
    return refusals.FILE_DAMAGED if isinstance(error, Conflict) else refusals.FILE_INFECTED


def _file_id(owner_id: uuid.UUID, name: str) -> uuid.UUID:
    return uuid.uuid5(owner_id, f"file {name}".encode(errors="backslashreplace").decode())


def files_to_store(imported: ImportedConversation) -> list[ImportedFile]:
    """The files of all messages of a conversation, in their order."""
    return [file for message in imported.messages for file in message.files]


def place_files(
    imported: ImportedConversation, stored: StoredFiles, rows: Mapping[str, Message]
) -> list[Attachment]:  # fmt: skip
    """What joins the stored files with the messages, which are not stored yet. `rows` are by their ids in the file.

    A message can have as many files as one that is sent here. One without text that has lost its files says how many
    they were.
    """
    joined: list[Attachment] = []
    kept: set[uuid.UUID] = set()
    for message in imported.messages:
        if not message.files:
            continue
        row = rows[message.id]
        found = {stored.files[one.id]: one.name for one in message.files if one.id in stored.files}
        for position, (file_id, name) in enumerate(found.items()):
            if position < settings.FILES_PER_MESSAGE:
                joined.append(Attachment(message=row, file_id=file_id, position=position))
                kept.add(file_id)
            else:
                stored.leave_out(name, refusals.TOO_MANY_FILES)
        row.file_count = min(len(found), settings.FILES_PER_MESSAGE)
        if not row.text and not row.file_count:
            row.text = "\n".join(ATTACHMENT for _ in message.files)
    stored.files = {name: file_id for name, file_id in stored.files.items() if file_id in kept}
    return joined


def join_files(conversation_id: uuid.UUID, owner_id: uuid.UUID, joined: Sequence[Attachment]) -> None:
    """Stores what `place_files` has made, once the messages are stored; the files then belong to the conversation.

    A file that was deleted meanwhile stays deleted. Within the transaction of the import.
    """
    if not joined:
        return
    waiting = File.objects.select_for_update().filter(
        pk__in={one.file_id for one in joined}, owner=owner_id, conversation=None, collection=None
    )
    here = set(waiting.values_list("pk", flat=True))
    File.objects.filter(pk__in=here).update(conversation=conversation_id)
    Attachment.objects.bulk_create([one for one in joined if one.file_id in here], batch_size=500)
