"""Uploads in chunks: begun, received, cancelled, and finished as a `File`.

Any web process may get any chunk: chunks are in the storage that all of them share, and `Upload.chunks` names those
that count, in order. Whatever ends in the middle of a request (the process, the storage, the connection), the row says
how much was received, and the client goes on from there. The file gets the upload's id, so that finishing may be
repeated.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Final, Protocol

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat.files import storage
from chat.files.contents import Taken, keep_content, take_in
from chat.files.names import clean_name
from chat.files.quota import check_room, check_upload_size, limits_of
from chat.models import File, Upload
from chat.protocol.errors import ChatError, Conflict, Invalid, NotFound, Unavailable

CHUNK_BYTES: Final = 4 * 1024 * 1024
HUGE: Final = 10**15  # bytes; a number of any length may be sent
_IN_MEMORY: Final = 256 * 1024  # of a chunk that is received; the rest is on disk
_TRIES: Final = 3  # while the purge deletes the same content

# Once a content is stored and committed: gets the id of its blob. `chat.apps` adds the job that reads it.
after_stored: list[Callable[[uuid.UUID], None]] = []

logger = structlog.get_logger(__name__)

_RECEIVE: Final = """
UPDATE chat_upload SET received = received + %(bytes)s, touched_at = now(),
    chunks = chunks || jsonb_build_array(%(path)s::text)
WHERE id = %(upload)s AND owner_id = %(owner)s AND received = %(offset)s AND received + %(bytes)s <= size
"""


class Readable(Protocol):
    """A request's body."""

    def read(self, size: int, /) -> bytes: ...


class WrongOffset(ChatError):
    """A chunk that does not begin where the last one ended. The client goes on at `received`."""

    code = "offset"

    def __init__(self, received: int) -> None:
        super().__init__(_("The upload is at a different position. Another tab may have sent this part."))
        self.received = received


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is, in bytes."""

    id: uuid.UUID
    name: str
    size: int
    received: int
    pasted: bool = False


def chunk_bytes() -> int:
    """The most bytes of one chunk; the site may accept only smaller requests."""
    return min(CHUNK_BYTES, int(settings.MAX_REQUEST_BYTES))


def progress_of(upload: Upload) -> Progress:
    return Progress(upload.pk, upload.name, upload.size, upload.received, upload.pasted)


def create_upload(
    user_id: uuid.UUID, name: str, size: int, *, pasted: bool = False, upload_id: uuid.UUID | None = None
) -> Progress:
    """Begins an upload of `size` bytes, which count as used from now on. `name` was screened by the caller. An
    `upload_id` may be known already: then this is the upload that is there.

    Raises `Invalid` for an empty file, `TooLarge`, `QuotaExceeded` and `RateLimited`.
    """
    if size <= 0:
        raise Invalid(_("This file is empty."))
    limits = limits_of(user_id)
    size = min(size, HUGE)
    check_upload_size(size, limits)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).filter(pk=user_id).values("pk").first()
        check_room(user_id, size, limits)
        given = {"name": clean_name(name), "size": size, "pasted": pasted}
        if upload_id is None:
            return progress_of(Upload.objects.create(owner_id=user_id, **given))
        upload, _created = Upload.objects.get_or_create(pk=upload_id, owner_id=user_id, defaults=given)
        return progress_of(upload)


def own_upload(user_id: uuid.UUID, upload_id: uuid.UUID) -> Upload:
    """Raises `NotFound`, also for another person's."""
    upload = Upload.objects.filter(pk=upload_id, owner=user_id).first()
    if upload is None:
        raise NotFound(_("This upload no longer exists. Choose the file again."))
    return upload


def own_uploads(user_id: uuid.UUID) -> list[Progress]:
    """The uploads of a user that are not finished, oldest first."""
    return [progress_of(one) for one in Upload.objects.filter(owner=user_id).order_by("created_at", "pk")]


def receive_chunk(user_id: uuid.UUID, upload_id: uuid.UUID, offset: int, body: Readable) -> int:
    """Stores a chunk that begins at byte `offset`; how many bytes have been received. The same chunk again is harmless.

    Raises `WrongOffset`, `Invalid` for an empty or too long one, `NotFound` and `Unavailable`.
    """
    upload = own_upload(user_id, upload_id)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as chunk:
        length = _copy(body, chunk)
        if not length:
            raise Invalid(_("This part of the file is empty."))
        if offset + length > upload.size:
            raise Invalid(_("There is more of this file than was announced. Choose it again."))
        if offset != upload.received:
            return _known(upload, offset, length)
        chunk.seek(0)
        path = storage.save(storage.chunk_path(upload.pk, offset), chunk)
    values: dict[str, Any] = {"bytes": length, "path": path, "upload": upload.pk, "owner": user_id, "offset": offset}
    try:
        with connection.cursor() as cursor:
            cursor.execute(_RECEIVE, values)
            counted = cursor.rowcount
    except BaseException:
        storage.delete([path])
        raise
    if counted:
        return offset + length
    storage.delete([path])  # another tab was faster, or the upload was cancelled or finished
    return _known(own_upload(user_id, upload_id), offset, length)


def _copy(body: Readable, chunk: IO[bytes]) -> int:
    """Copies a request's body, of which at most a chunk is read; its length in bytes."""
    length = 0
    while part := body.read(64 * 1024):
        length += len(part)
        if length > chunk_bytes():
            raise Invalid(_("A part of a file can have at most %(bytes)s bytes.") % {"bytes": chunk_bytes()})
        chunk.write(part)
    return length


def _known(upload: Upload, offset: int, length: int) -> int:
    if offset >= 0 and offset + length <= upload.received:
        return upload.received
    raise WrongOffset(upload.received)


def cancel_upload(user_id: uuid.UUID, upload_id: uuid.UUID) -> None:
    """Ends an upload and deletes what was received. Of one that is gone: nothing."""
    discard(Upload.objects.filter(pk=upload_id, owner=user_id).values_list("pk", flat=True))


def discard(upload_ids: Iterable[uuid.UUID]) -> int:
    """Deletes these uploads and what was received of them; how many there were."""
    with transaction.atomic():
        # Locked: one that is being finished is gone then, and its content stays.
        rows = Upload.objects.select_for_update().filter(pk__in=list(upload_ids))
        ids = list(rows.values_list("pk", flat=True))
        Upload.objects.filter(pk__in=ids).delete()
        for upload_id in ids:
            transaction.on_commit(partial(_delete_bytes, upload_id), robust=True)
    return len(ids)


def _delete_bytes(upload_id: uuid.UUID, keep: tuple[str, ...] = ()) -> None:
    storage.delete_folder(storage.upload_folder(upload_id))
    storage.delete_folder(storage.content_folder(upload_id), keep)


def finish_upload(user_id: uuid.UUID, upload_id: uuid.UUID) -> File:
    """Makes a file of an upload that is complete. May be repeated, also at the same time: the result is the same file.

    Reads all of it once, to hash it and to store it as one content. Raises `Conflict` while bytes are missing,
    `Invalid` for an infected content, which is deleted, `TooLarge`, `NotFound`, and `Unavailable`, which keeps it.
    """
    if (made := finished(user_id, upload_id)) is not None:
        return made
    upload = Upload.objects.filter(pk=upload_id, owner=user_id).first()
    if upload is None:
        # Another request may have finished it between the two queries.
        if (made := finished(user_id, upload_id)) is not None:
            return made
        raise NotFound(_("This upload no longer exists. Choose the file again."))
    if upload.received != upload.size:
        raise Conflict(_("This file has not been uploaded completely."))
    check_upload_size(upload.size, limits_of(user_id))
    Upload.objects.filter(pk=upload_id).update(touched_at=timezone.now())
    return make_file(upload, _take_in(upload)) or finish_upload(user_id, upload_id)


def make_file(upload: Upload, taken: Taken) -> File | None:
    """The file of a content that was taken in for an upload, which ends with it. None if the upload is gone: then the
    content is deleted. Raises `Unavailable`.
    """
    for left in range(_TRIES, 0, -1):
        try:
            with transaction.atomic():
                file = _make_rows(upload, taken)
        except IntegrityError:
            # The purge deleted the content of the same bytes in this moment, or the same upload was finished twice.
            if left == 1:
                storage.delete([taken.path])
                raise Unavailable from None
        else:
            break
    if file is None:
        storage.delete([taken.path])
    return file


def finished(user_id: uuid.UUID, upload_id: uuid.UUID) -> File | None:
    """The file that an upload has become; None: none yet."""
    return File.objects.select_related("blob").filter(pk=upload_id, owner=user_id).first()


def _take_in(upload: Upload) -> Taken:
    try:
        return take_in(upload.pk, storage.pieces_of(upload.chunks), upload.name, upload.size)
    except storage.MissingContentError:
        logger.warning("upload_incomplete", upload=str(upload.pk))
        discard([upload.pk])
        raise NotFound(_("A part of this upload was lost. Choose the file again.")) from None
    except Invalid:
        discard([upload.pk])
        raise


def _make_rows(upload: Upload, taken: Taken) -> File | None:
    """The rows of the file, and the upload's row deleted; None if the upload is gone. Within a transaction."""
    if not Upload.objects.select_for_update().filter(pk=upload.pk).values("pk"):
        return None
    blob, is_new = keep_content(taken)
    file = File.objects.create(
        id=upload.pk, blob=blob, owner_id=upload.owner_id, name=upload.name, pasted=upload.pasted
    )
    # The database checks the reference now, so that a content which the purge deletes is found missing here.
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    Upload.objects.filter(pk=upload.pk).delete()
    kept = (taken.path,) if is_new else ()
    transaction.on_commit(lambda: _delete_bytes(upload.pk, kept), robust=True)
    if is_new:
        transaction.on_commit(lambda: _announce_stored(blob.pk), robust=True)
    return file


def _announce_stored(blob_id: uuid.UUID) -> None:
    for told in after_stored:
        told(blob_id)
