"""Contents (`Blob`): taken in by one reading, kept once for all files of the same bytes, deleted when none is left."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from accounts.lib.ids import uuid7
from chat.files import scanning, storage
from chat.files.kinds import HEAD, Kind, kind_of
from chat.models import Blob, File
from chat.protocol.errors import Conflict, Invalid

_INSERT: Final = """
INSERT INTO chat_blob (id, sha256, size, media_type, kind, path, thumbnail, state, reason, characters, attempts,
    created_at)
VALUES (%(id)s, %(sha256)s, %(size)s, %(media_type)s, %(kind)s, %(path)s, '', 'pending', '', 0, 0, clock_timestamp())
ON CONFLICT (sha256) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A content in the storage that has no row yet."""

    path: str
    sha256: str
    size: int
    kind: Kind


@dataclass(slots=True)
class _Watch:
    """What is found out while a content is read."""

    digest: Any = field(default_factory=hashlib.sha256)
    head: bytes = b""
    size: int = 0
    scan: scanning.Scan | None = None

    def __call__(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)
        if len(self.head) < HEAD:
            self.head += piece[: HEAD - len(self.head)]
        if self.scan is not None:
            self.scan.send(piece)


def take_in(upload_id: uuid.UUID, pieces: Generator[bytes, None, None], name: str, size: int) -> Taken:
    """Joins pieces to one content in the storage, and hashes, names and scans it in passing.

    Raises `Invalid` for an infected one, `Conflict` if it has not `size` bytes, `Unavailable`, `MissingContentError`.
    """
    with scanning.scan() as scan:
        watch = _Watch(scan=scan)
        with storage.Joined(pieces, watch) as joined:
            path = storage.save(storage.content_path(upload_id), joined)
        try:
            if watch.size != size:
                raise Conflict(_("This file has not been uploaded completely."))
            if scan is not None and (found := scan.result()):
                raise Invalid(_("This file was refused: the virus scanner found “%(found)s” in it.") % {"found": found})
        except BaseException:
            storage.delete([path])
            raise
    return Taken(path, watch.digest.hexdigest(), watch.size, kind_of(watch.head, name))


def keep_content(taken: Taken) -> tuple[Blob, bool]:
    """The row of a content, and whether it is new; otherwise the bytes that were taken in are to be deleted.

    Within a transaction that also makes a file of it: so it is in use when another transaction sees it.
    """
    values: dict[str, Any] = {
        "id": uuid7(),
        "sha256": taken.sha256,
        "size": taken.size,
        "media_type": taken.kind.media_type,
        "kind": taken.kind.kind.value,
        "path": taken.path,
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        is_new = cursor.rowcount == 1
    blob = Blob.objects.filter(sha256=taken.sha256).first()
    if blob is None:  # deleted by the purge after the insert found it
        raise IntegrityError("the content was deleted in this moment")
    return blob, is_new


def delete_if_unused(blob_id: uuid.UUID) -> bool:
    """Deletes a content of which there is no file, with its bytes; whether it did."""
    try:
        with transaction.atomic():
            blob = Blob.objects.select_for_update().filter(pk=blob_id).first()
            if blob is None or File.objects.filter(blob=blob).exists():
                return False
            path, thumbnail = blob.path, blob.thumbnail
            blob.delete()
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.on_commit(partial(storage.delete_content, path, thumbnail), robust=True)
    except IntegrityError:
        return False
    return True
