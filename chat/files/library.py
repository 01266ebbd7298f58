"""What people do with their own files: list, use again, delete."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from chat.files.access import own_file
from chat.files.payloads import file_dict
from chat.files.quota import limits_of, used_by
from chat.models import File
from chat.models.files import MAX_FILE_NAME
from chat.protocol.errors import Invalid

PAGE: Final = 50
MAX_NAME: Final = MAX_FILE_NAME


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a user's files, newest first. `used` and `limit` in bytes; `limit` is None where there is none."""

    files: list[dict[str, Any]]
    used: int
    limit: int | None
    next: str | None


def list_files(user_id: uuid.UUID, after: str = "", count: int = PAGE) -> Page:
    """The files of a user after the one with the id `after`. Raises `Invalid`."""
    rows = File.objects.filter(owner=user_id).select_related("blob", "conversation", "collection").order_by("-pk")
    if after:
        try:
            rows = rows.filter(pk__lt=uuid.UUID(after))
        except ValueError:
            raise Invalid(_("Invalid position in the list.")) from None
    found = list(rows[: count + 1])
    more = found[:count]
    return Page(
        [listed_dict(file) for file in more],
        used_by(user_id).files,
        limits_of(user_id).storage,
        str(more[-1].pk) if len(found) > count else None,
    )


def listed_dict(file: File) -> dict[str, Any]:
    """A file of its owner's list. `file.conversation` and `file.collection` should be loaded; a conversation in the
    trash has no link there.
    """
    shown = {**file_dict(file), "created_at": file.created_at.isoformat()}
    if file.collection is not None:
        shown["collection"] = {"id": str(file.collection.pk), "name": file.collection.name}
    where = file.conversation
    if where is not None:
        shown["conversation"] = {
            "id": str(where.pk), "title": where.title, "deleted": where.deleted_at is not None,
        }  # fmt: skip
    return shown


def reuse_file(user_id: uuid.UUID, file_id: uuid.UUID) -> File:
    """Another file of the same content, without a conversation. It takes no room. Raises `NotFound`."""
    with transaction.atomic():
        file = own_file(user_id, file_id, lock=True)
        copied = File(blob=file.blob, owner=User(pk=user_id), name=file.name, pasted=file.pasted)
        copied.save(force_insert=True)
    return copied
