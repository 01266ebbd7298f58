"""A person deletes a file of theirs: from their list, from the messages that have it, and from the storage."""

from __future__ import annotations

import uuid

from django.db import transaction

from chat.files.access import own_file
from chat.files.contents import delete_if_unused
from chat.models import Attachment, File
from chat.moderation.rewriting import republish


def delete_file(user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Deletes a file of the user's. Messages that had it say that a file was deleted. Raises `NotFound`.

    The event logs of its conversation begin anew, so that no resume and no replay names it. Copies of the conversation
    keep a file of their own. Not to be called on the thread of an event loop.
    """
    with transaction.atomic():
        remove_file(own_file(user_id, file_id))


def remove_file(file: File) -> None:
    """Deletes a file, whoever asks. Within a transaction; its bytes go after the commit, if no other file has them."""
    messages = list(Attachment.objects.filter(file=file).values_list("message_id", flat=True))
    blob_id = file.blob_id
    file.delete()
    for message_id in messages:
        republish(message_id)
    transaction.on_commit(lambda: delete_if_unused(blob_id), robust=True)
