"""Files in an export: what is said of them in its JSON, and their contents beside it in the archive."""

from __future__ import annotations

import shutil
import uuid
import zipfile
from typing import Any, Final

import structlog
from django.db.models import QuerySet

from accounts.models import User
from chat.files import storage
from chat.files.access import may_see, seen_by
from chat.files.payloads import load_files, shows_files
from chat.files.sources import sources_of_run
from chat.models import Collection, Conversation, File, Message, Run

_CITED: Final = ("n", "title", "label", "passage")  # of a passage

logger = structlog.get_logger(__name__)


def exported_files(user: User) -> QuerySet[File]:
    """Those that the user may see: their own, and those of their conversations."""
    return seen_by(user.pk).order_by("pk")


def archive_path(file: File) -> str:
    """Where a file is in the archive. Its name was cleaned when it was uploaded; the id keeps names apart."""
    return f"files/{file.pk}/{file.name}"


def file_data(file: File) -> dict[str, Any]:
    """A file as plain data for JSON. `file.blob` should be loaded."""
    return {
        "id": str(file.pk),
        "name": file.name,
        "media_type": file.blob.media_type,
        "size": file.blob.size,
        "sha256": file.blob.sha256,
        "created_at": file.created_at.isoformat(),
        "path": archive_path(file),
    }


def own_files(user: User) -> list[dict[str, Any]]:
    """The files of a user, with the conversation or collection of each."""
    rows = File.objects.filter(owner=user).select_related("blob").order_by("pk")
    return [
        file_data(file)
        | {
            "conversation": str(file.conversation_id) if file.conversation_id else None,
            "collection": str(file.collection_id) if file.collection_id else None,
        }
        for file in rows
    ]


def own_collections(user: User) -> list[dict[str, Any]]:
    """The collections of a user; `own_files` says which files each has."""
    rows = Collection.objects.filter(owner=user).prefetch_related("groups").order_by("name")
    return [
        {
            "id": str(row.pk),
            "name": row.name,
            "description": row.description,
            "groups": sorted(group.name for group in row.groups.all()),
            "created_at": row.created_at.isoformat(),
        }
        for row in rows
    ]


def cited_by(run: Run | None) -> dict[str, Any]:
    """`sources`: the passages of collections that an answer cites, if any."""
    sources = sources_of_run(run) if run is not None else []
    return {"sources": [{name: one[name] for name in _CITED if name in one} for one in sources]} if sources else {}


def files_of_conversation(conversation: Conversation) -> dict[uuid.UUID, dict[str, Any]]:
    """What is said of each message that has files, by its id."""
    messages = list(Message.objects.filter(conversation=conversation, file_count__gt=0))
    load_files(messages)
    return {
        message.pk: {"files": [file_data(file) for file in message.shown_files or ()]}
        for message in messages
        if shows_files(message)
    }


def write_file(archive: zipfile.ZipFile, user: User, file: File) -> bool:
    """Adds a file to the archive; whether it did. One that was deleted meanwhile, or that the user may not see any
    more, is left out. Raises `Unavailable`.
    """
    if not may_see(user.pk, file.pk):
        return False
    try:
        content = storage.open_content(file.blob.path)
    except storage.MissingContentError:
        logger.error("content_missing", blob=str(file.blob_id))
        return False
    info = zipfile.ZipInfo(archive_path(file), file.created_at.timetuple()[:6])
    info.compress_type = zipfile.ZIP_STORED  # most are compressed already
    with content, archive.open(info, "w", force_zip64=True) as out:
        shutil.copyfileobj(content, out, storage.PART)
    return True
