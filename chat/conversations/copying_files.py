"""Files in a copy of a conversation: rows of the copy's owner, of the same contents."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.db.models import Q

from accounts.lib.ids import uuid7
from accounts.models import User
from chat.files.access import unread_images, withheld
from chat.models import Attachment, Conversation, File, FileUse, Message, Run


def copy_files(copy: Conversation, messages: Mapping[uuid.UUID, Message], owner: User) -> dict[uuid.UUID, uuid.UUID]:
    """Gives the copies of messages (by the id of the original) their files, where `file_count` says that they have any;
    the ids of the new files by those of the originals. Within the transaction of the copy. No query without files.
    """
    wanted = {pk: message for pk, message in messages.items() if message.file_count}
    if not wanted:
        return {}
    rows = list(Attachment.objects.filter(message__in=wanted).order_by("message", "position"))
    # Locked, so that no purge takes a content between now and the commit. What moderation withholds is not copied, nor
    # another's image that was not read yet: who owns a file sees it as it was uploaded, with the place in it.
    seen = Q(owner=owner) | ~unread_images()
    shown = File.objects.filter(seen, ~withheld(), pk__in={row.file_id for row in rows})
    originals = {file.pk: file for file in shown.select_for_update(no_key=True, of=("self",))}
    files = {
        pk: File(
            id=uuid7(), blob_id=file.blob_id, owner=owner, conversation=copy, name=file.name, pasted=file.pasted,
            created_at=file.created_at,
        )
        for pk, file in originals.items()
    }  # fmt: skip
    File.objects.bulk_create(files.values(), batch_size=500)
    Attachment.objects.bulk_create(
        [
            Attachment(message=wanted[row.message_id], file=files[row.file_id], position=row.position)
            for row in rows
            if row.file_id in files
        ],
        batch_size=500,
    )
    return {pk: file.pk for pk, file in files.items()}


def copy_uses(runs: Mapping[uuid.UUID, Run], files: Mapping[uuid.UUID, uuid.UUID]) -> None:
    """What the models of copied runs (by the id of the original) got of the files."""
    if not files:
        return
    uses = FileUse.objects.filter(run__in=runs, file__in=files)
    FileUse.objects.bulk_create(
        FileUse(
            run=runs[use.run_id], file_id=files[use.file_id], kind=use.kind, given=use.given, total=use.total,
            reason=use.reason,
        )
        for use in uses
    )  # fmt: skip
