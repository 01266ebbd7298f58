"""What the tests of reading share: a storage of their own, and contents in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages

from accounts.models import User
from chat.models import Blob, File


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """The folder of the storage."""
    folder = tmp_path / "media"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}},
    }
    storages.__init__()  # type: ignore[misc]  # Django's own tests reset it like this
    yield folder
    storages.__init__()  # type: ignore[misc]


Keep = Callable[..., File]


@pytest.fixture
def keep(media: Path) -> Keep:
    """Stores a content, and makes a file of it that waits to be read."""

    def _keep(owner: User, content: bytes, name: str, kind: str, media_type: str) -> File:
        digest = hashlib.sha256(content).hexdigest()
        path = default_storage.save(f"files/{digest[:2]}/{digest}/content", ContentFile(content))
        blob = Blob.objects.create(sha256=digest, size=len(content), media_type=media_type, kind=kind, path=path)
        return File.objects.create(blob=blob, owner=owner, name=name)

    return _keep
