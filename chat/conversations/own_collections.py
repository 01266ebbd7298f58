"""What people do with their own collections: add and remove files, delete. `chat.views.library` makes and edits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.lib.formatting import grouped
from accounts.models import User
from chat.conversations.file_removal import remove_collection, remove_file
from chat.files.access import own_file
from chat.files.collections import Readiness, readiness_of, usable_collections
from chat.files.payloads import file_dict
from chat.models import Collection, File
from chat.models.collections import MAX_COLLECTION_FILES
from chat.protocol.errors import Invalid, NotFound

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class FilesPage:
    """A page of a collection's files by name, as `chat.files.payloads.file_dict` has them."""

    files: list[dict[str, Any]]
    readiness: Readiness
    page: int
    more: bool


def own_collection(user_id: uuid.UUID, collection_id: uuid.UUID, *, lock: bool = False) -> Collection:
    """Raises `NotFound`, also for another person's."""
    rows = Collection.objects.filter(owner=user_id, pk=collection_id)
    found = (rows.select_for_update(no_key=True) if lock else rows).first()
    if found is None:
        raise NotFound
    return found


def usable_collection(user_id: uuid.UUID, collection_id: uuid.UUID) -> Collection:
    """One that the user may see. Raises `NotFound`."""
    found = usable_collections(user_id).filter(pk=collection_id).select_related("owner").first()
    if found is None:
        raise NotFound
    return found


def list_collection_files(collection: Collection, page: int = 1) -> FilesPage:
    """The files of a collection, `PAGE` at a time; those that could not be read come first, then those that wait."""
    # Before the rows: a page of which a row is still being read follows the reading.
    readiness = readiness_of([collection.pk]).get(collection.pk, Readiness())
    rows = File.objects.filter(collection=collection).select_related("blob").order_by("blob__state", "name", "pk")
    found = list(rows[(page - 1) * PAGE : page * PAGE + 1])
    return FilesPage([file_dict(one) for one in found[:PAGE]], readiness, page, len(found) > PAGE)


def add_file(user_id: uuid.UUID, collection_id: uuid.UUID, file_id: uuid.UUID) -> tuple[File, bool]:
    """Puts a file of the user's into a collection of theirs; the file there, and whether it is new.

    A file that waits in no conversation yet is moved; of another one a second file of the same content is made, which
    takes no room. A content that the collection has already is not added again. Raises `NotFound`, and `Invalid` beyond
    `MAX_COLLECTION_FILES`.
    """
    with transaction.atomic():
        collection = own_collection(user_id, collection_id, lock=True)
        file = own_file(user_id, file_id, lock=True)
        if file.collection_id == collection.pk:
            return file, False
        waits = file.conversation_id is None and file.collection_id is None
        known = File.objects.select_related("blob").filter(collection=collection, blob=file.blob_id).first()
        if known is not None:
            if waits:
                remove_file(file)
            return known, False
        if File.objects.filter(collection=collection).count() >= MAX_COLLECTION_FILES:
            said = ngettext(
                "A collection can have at most %(most)s file.", "A collection can have at most %(most)s files.",
                MAX_COLLECTION_FILES,
            )  # fmt: skip
            raise Invalid(said % {"most": grouped(MAX_COLLECTION_FILES)})
        if not waits:
            file = File(blob=file.blob, owner=User(pk=user_id), name=file.name, pasted=file.pasted)
        file.collection = collection
        file.save()
    return file, True


def remove_from_collection(user_id: uuid.UUID, collection_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Deletes a file of a collection. Answers lose it and its passages at once. Raises `NotFound`."""
    with transaction.atomic():
        own_collection(user_id, collection_id)
        file = own_file(user_id, file_id)
        if file.collection_id != collection_id:
            raise NotFound(_("This file is not in the collection any more."))
        remove_file(file)


def delete_collection(user_id: uuid.UUID, collection_id: uuid.UUID) -> None:
    """Deletes a collection with its files. Conversations, presets and folders lose it at once. Raises `NotFound`."""
    with transaction.atomic():
        remove_collection(own_collection(user_id, collection_id, lock=True))
