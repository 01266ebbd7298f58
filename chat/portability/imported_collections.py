"""Collections of an import of our own export, with their files."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from accounts.models import User
from chat.catalog.own_items import free_name, store
from chat.catalog.screened_items import screen_item
from chat.conversations.own_collections import add_file
from chat.models import Collection
from chat.models.collections import MAX_COLLECTIONS
from chat.portability import refusals
from chat.portability.formats.own import ImportedCollection
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
    user: User, chats: ImportFile, on_file: Callable[[], None], *, again: bool = False
) -> Iterator[CollectionOutcome]:
    """Makes the collections that were not imported before, for the user alone: groups are not those of the other site.

    Those of this site's own export that are still there are left as they are. `again`: an earlier attempt of this
    import may have made some, which are completed. Raises `Unavailable` and `OSError` if files cannot be stored now.
    """
    for one in chats.collections[:MAX_COLLECTIONS]:
        pk = uuid.uuid5(user.pk, f"collection {one.id}".encode(errors="backslashreplace").decode())
        ids = [pk]
        with contextlib.suppress(ValueError):
            ids.append(uuid.UUID(one.id))
        known = set(Collection.objects.filter(owner=user, pk__in=ids).values_list("pk", flat=True))
        if known and not (again and known == {pk}):
            continue
        place = refusals.COLLECTION_PLACE % {"file": clean_text(one.document), "name": clean_text(one.name)[:60]}
        if not known and not _make(user, pk, one):
            report = [(one.name, refusals.NO_COLLECTION)]
            yield CollectionOutcome(place, is_new=False, files=0, left_out=len(one.files), files_report=report)
            continue
        stored = store_files(user, pk, one.document, one.files, chats.archive, on_file)
        _fill(user, pk, one, stored)
        yield CollectionOutcome(
            place, is_new=True, files=len(stored.files), left_out=stored.left_out, files_report=stored.report
        )


def _make(user: User, pk: uuid.UUID, one: ImportedCollection) -> bool:
    """Makes the row; whether it could be."""
    name = " ".join(clean_text(one.name).split())[:80]
    row = Collection(pk=pk, owner=user, name=name, description=" ".join(clean_text(one.description).split())[:200])
    try:
        screen_item(row)
        taken = set(Collection.objects.filter(owner=user).values_list("name", flat=True))
        if row.name in taken:
            row.name = free_name(row.name, taken, 80)
        store(row)
    except (Invalid, Moderated):
        return False
    return True


def _fill(user: User, pk: uuid.UUID, one: ImportedCollection, stored: StoredFiles) -> None:
    names = {file.id: file.name for file in one.files}
    for key, file_id in list(stored.files.items()):
        try:
            add_file(user.pk, pk, file_id)
        except NotFound:  # its owner has deleted it meanwhile
            del stored.files[key]
        except Invalid:  # beyond what a collection can have
            del stored.files[key]
            stored.leave_out(names[key], refusals.TOO_MANY_FILES)
