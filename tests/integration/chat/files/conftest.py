"""What the tests of files share: a storage of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from accounts.models import User
from chat.files import uploads


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


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The ids of contents for which a job was published, instead of the job."""
    asked: list[Any] = []
    monkeypatch.setattr(uploads, "after_stored", [asked.append])
    return asked


def in_storage(media: Path) -> set[str]:
    """The paths of everything that is stored."""
    return {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}


__all__ = ["User", "in_storage"]
