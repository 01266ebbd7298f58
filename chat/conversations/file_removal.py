"""Files and collections are deleted: from lists, from the messages and answers that have them, from the storage."""

from __future__ import annotations

import uuid
from collections.abc import Collection as Ids
from typing import Final

from django.db import transaction

from chat.files.access import own_file
from chat.files.contents import delete_if_unused
from chat.models import Attachment, Collection, File, FileUse
from chat.moderation.rewriting import republish

AT_ONCE: Final = 50  # contents that are deleted with a collection; the purge deletes the others


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
    if file.collection_id is not None:
        messages += citing_answers([file.pk])
    blob_id = file.blob_id
    file.delete()
    for message_id in messages:
        republish(message_id)
    transaction.on_commit(lambda: delete_if_unused(blob_id), robust=True)


def remove_collection(collection: Collection) -> None:
    """Deletes a collection with its files, whoever asks; answers that cite them lose the passages. Within a
    transaction.
    """
    files = dict(File.objects.filter(collection=collection).values_list("pk", "blob_id"))
    messages = citing_answers(files)
    collection.delete()
    for message_id in messages:
        republish(message_id)
    transaction.on_commit(lambda: _delete_unused(list(files.values())[:AT_ONCE]), robust=True)


def citing_answers(file_ids: Ids[uuid.UUID]) -> list[uuid.UUID]:
    """The answers that cite passages of these files."""
    runs = FileUse.objects.filter(file__in=file_ids, run__parameters__has_key="sources")
    return list(runs.values_list("run__message_id", flat=True).distinct())


def _delete_unused(blob_ids: list[uuid.UUID]) -> None:
    for blob_id in blob_ids:
        delete_if_unused(blob_id)
