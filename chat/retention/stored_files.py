"""Which uploads, files and stored contents are no longer needed, and how their bytes are deleted."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from chat.files import storage, uploads
from chat.models import Attachment, Blob, File, Upload

# Files that a message in a waiting line will have.
_WAITING = """
SELECT attached::uuid FROM chat_queuedmessage, jsonb_array_elements_text(command -> 'attachments') AS attached
WHERE state = 'waiting' AND jsonb_typeof(command -> 'attachments') = 'array'
"""


def abandoned_uploads(now: datetime) -> QuerySet[Upload]:
    return Upload.objects.filter(touched_at__lt=now - timedelta(hours=settings.UPLOAD_HOURS))


def delete_uploads(rows: QuerySet[Upload]) -> int:
    return uploads.discard(rows.values_list("pk", flat=True))


def unattached(now: datetime) -> QuerySet[File]:
    """Files of no collection that wait in no composer and no line any more, and those whose messages were all deleted
    long ago.
    """
    kept = Attachment.objects.filter(
        Q(message__deleted_at=None) | Q(message__deleted_at__gte=now - timedelta(days=settings.KEEP_REVISION_DAYS)),
        file=OuterRef("pk"),
    )
    rows = File.objects.filter(
        ~Exists(kept), collection=None, created_at__lt=now - timedelta(hours=settings.UPLOAD_HOURS)
    )
    return rows.exclude(pk__in=RawSQL(_WAITING, ()))  # noqa: S611 -- a constant


def unused(now: datetime) -> QuerySet[Blob]:
    return Blob.objects.filter(~Exists(File.objects.filter(blob=OuterRef("pk"))))


def delete_contents(rows: QuerySet[Blob]) -> int:
    """Deletes contents that are locked and of which there is no file; their bytes after the commit.

    A file that another transaction makes of one in this moment has a lock on it, so that the purge skips it, or finds
    it missing and stores it anew (`chat.files.uploads.finish_upload`).
    """
    paths = [(row.path, row.thumbnail) for row in rows]
    rows.delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    transaction.on_commit(lambda: _delete_bytes(paths), robust=True)
    return len(paths)


def _delete_bytes(contents: list[tuple[str, str]]) -> None:
    for path, thumbnail in contents:
        storage.delete_content(path, thumbnail)
