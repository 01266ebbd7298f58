"""Compares the storage with the database: what is missing, and what nobody knows of."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from django.core.files.storage import default_storage
from django.utils import timezone

from chat.files import storage
from chat.models import Blob, Upload

MADE: Final = re.compile(r"/image-\d+\Z")  # an image for models, of a content in the same folder
YOUNG: Final = timedelta(days=1)  # what is younger may be in the making


def damaged() -> Iterator[tuple[Blob, str]]:
    """Contents that the storage does not have as the database says, each with a reason."""
    for blob in Blob.objects.order_by("pk").iterator(chunk_size=500):
        if not default_storage.exists(blob.path):
            yield blob, "missing"
        elif (size := default_storage.size(blob.path)) != blob.size:
            yield blob, f"has {size} bytes instead of {blob.size}"


def unknown() -> Iterator[str]:
    """The paths of what the storage has and no row names, older than `YOUNG`."""
    for name in storage.list_folder("uploads")[0]:
        if (upload_id := _id_of(name)) is None:
            continue
        kept = Upload.objects.filter(pk=upload_id).values_list("chunks", flat=True).first()
        yield from _unnamed(f"uploads/{name}", kept or ())
    for shelf in storage.list_folder("files")[0]:
        for name in storage.list_folder(f"files/{shelf}")[0]:
            folder = f"files/{shelf}/{name}"
            named = Blob.objects.filter(path__startswith=f"{folder}/").values_list("path", "thumbnail")
            paths = [path for pair in named for path in pair]
            yield from (path for path in _unnamed(folder, paths) if not (paths and MADE.search(path)))


def _unnamed(folder: str, named: Iterable[str]) -> Iterator[str]:
    paths = set(named)
    before = timezone.now() - YOUNG
    for name in storage.list_folder(folder)[1]:
        path = f"{folder}/{name}"
        if path not in paths and default_storage.get_modified_time(path) < before:
            yield path


def _id_of(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None
