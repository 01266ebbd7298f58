"""Collections of an import of our own export, with their files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction

from accounts.models import User
from chat.catalog.own_items import free_name, store
from chat.catalog.screened_items import screen_item
from chat.conversations.file_removal import remove_collection
from chat.conversations.own_collections import add_file
from chat.models import Collection, Conversation, File, Folder, ImportedCollection, ImportJob, Preset
from chat.models.collections import MAX_COLLECTIONS
from chat.portability import refusals
from chat.portability.formats.own import ImportedCollection as Described
from chat.portability.import_file import ImportFile
from chat.portability.imported_files import StoredFiles, store_files
from chat.portability.message_tree import clean_text
from chat.protocol.errors import Invalid, Moderated, NotFound


@dataclass(frozen=True, slots=True)
class CollectionOutcome:
    """What became of one collection: whether it was made now, and its files as in `ImportOutcome`."""

    place: str
    is_new: bool
    files: int
    left_out: int
    files_report: Sequence[tuple[str, str]]


def import_collections(
    user: User, chats: ImportFile, on_file: Callable[[], None], job: ImportJob | None = None
) -> Iterator[CollectionOutcome]:
    """Makes the collections that were not imported before, for the user alone: groups are not those of the other site.

    Those of this site's own export that are still there are left as they are. What is made is noted as made by `job`;
    what an earlier attempt of it has made is completed. Raises `Unavailable` and `OSError` if files cannot be stored
    now.
    """
    begun = set(ImportedCollection.objects.filter(job=job).values_list("collection_id", flat=True)) if job else set()
    for one in chats.collections[:MAX_COLLECTIONS]:
        pk = uuid.uuid5(user.pk, f"collection {one.id}".encode(errors="backslashreplace").decode())
        ids = [pk]
        with contextlib.suppress(ValueError):
            ids.append(uuid.UUID(one.id))
        known = set(Collection.objects.filter(owner=user, pk__in=ids).values_list("pk", flat=True))
        if known - begun:
            continue
        place = refusals.COLLECTION_PLACE % {"file": clean_text(one.document), "name": clean_text(one.name)[:60]}
        if not known and not _make(user, pk, one, job):
            report = [(one.name, refusals.NO_COLLECTION)]
            yield CollectionOutcome(place, is_new=False, files=0, left_out=len(one.files), files_report=report)
            continue
        stored = store_files(user, pk, one.document, one.files, chats.archive, on_file)
        with transaction.atomic():
            _fill(user, pk, one, stored)
            ImportedCollection.objects.filter(collection=pk).update(digest=_digest(pk))
        yield CollectionOutcome(
            place, is_new=True, files=len(stored.files), left_out=stored.left_out, files_report=stored.report
        )


def remove_unchanged(user_id: uuid.UUID, job: ImportJob) -> tuple[int, int]:
    """Deletes the collections that an import has made and that are as it has made them; how many, and how many stay.

    One stays if its name, description, groups or files are others now, or if a conversation that is not in the trash, a
    folder or a preset has it. Deleted ones come again with the next import of the same file.
    """
    removed = kept = 0
    made = dict(ImportedCollection.objects.filter(job=job).values_list("collection_id", "digest"))
    for pk in sorted(made):
        with transaction.atomic():
            row = Collection.objects.select_for_update(no_key=True).filter(owner=user_id, pk=pk).first()
            if row is None:  # its owner has deleted it meanwhile
                continue
            if _is_used(row) or _digest(pk) != made[pk]:
                kept += 1
                continue
            remove_collection(row)
            removed += 1
    return removed, kept


def _is_used(row: Collection) -> bool:
    return (
        Conversation.objects.filter(collections=row, deleted_at=None).exists()
        or Folder.objects.filter(collections=row).exists()
        or Preset.objects.filter(collections=row).exists()
    )


def _digest(pk: uuid.UUID) -> str:
    """Of what a collection is: its name, description, groups and files, in hexadecimal digits."""
    row = Collection.objects.get(pk=pk)
    groups = sorted(row.groups.values_list("pk", flat=True))
    files = File.objects.filter(collection=pk).order_by("pk").values_list("pk", "name")
    whole = [row.name, row.description, groups, [[str(file_id), name] for file_id, name in files]]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _make(user: User, pk: uuid.UUID, one: Described, job: ImportJob | None) -> bool:
    """Makes the row; whether it could be."""
    name = " ".join(clean_text(one.name).split())[:80]
    row = Collection(pk=pk, owner=user, name=name, description=" ".join(clean_text(one.description).split())[:200])
    try:
        screen_item(row)
        taken = set(Collection.objects.filter(owner=user).values_list("name", flat=True))
        if row.name in taken:
            row.name = free_name(row.name, taken, 80)
        with transaction.atomic():
            store(row)
            if job is not None:
                ImportedCollection.objects.create(job=job, collection=row, digest=_digest(pk))
    except (Invalid, Moderated):
        return False
    return True


def _fill(user: User, pk: uuid.UUID, one: Described, stored: StoredFiles) -> None:
    names = {file.id: file.name for file in one.files}
    for key, file_id in list(stored.files.items()):
        try:
            add_file(user.pk, pk, file_id)
        except NotFound:  # its owner has deleted it meanwhile
            del stored.files[key]
        except Invalid:  # beyond what a collection can have
            del stored.files[key]
            stored.leave_out(names[key], refusals.TOO_MANY_FILES)
