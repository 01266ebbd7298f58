"""A copy of the storage's contents in a folder, beside a backup of the database, and back.

Contents are never changed in place but for their path, so a content that the copy has is not read again: a nightly copy
reads what is new.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from django.core.files.base import File
from django.core.files.storage import default_storage

from chat.files import storage

TEMPORARY: Final = ("uploads", "imports", "exports")  # what is deleted soon anyway


@dataclass(slots=True)
class Copied:
    """How many contents there were, and how many of them, with how many bytes, were not in the copy yet."""

    found: int = 0
    copied: int = 0
    size: int = 0


def backup(folder: Path) -> Copied:
    """Copies every content that the folder does not have. Raises `OSError`, and what the storage raises."""
    done = Copied()
    for path in _contents(""):
        target = folder / path
        try:
            size = default_storage.size(path)
            if not (target.exists() and target.stat().st_size == size):
                _copy(path, target)
                done.copied += 1
                done.size += size
        except FileNotFoundError:
            if default_storage.exists(path):  # it is the copy's folder that is missing
                raise
            continue  # deleted since it was listed
        done.found += 1
    return done


def _copy(path: str, target: Path) -> None:
    """Whole or not there: a copy that is interrupted leaves no half content under its name."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with default_storage.open(path, "rb") as content:
        made = tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False)  # noqa: SIM115  # closed below
        try:
            with made:
                shutil.copyfileobj(content, made, storage.PART)
            Path(made.name).replace(target)
        except BaseException:
            Path(made.name).unlink()
            raise


def restore(folder: Path) -> Copied:
    """Copies every content that the storage does not have back to it. Raises as `backup`."""
    done = Copied()
    for source in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        path = str(PurePosixPath(source.relative_to(folder)))
        done.found += 1
        size = source.stat().st_size
        if default_storage.exists(path):
            if default_storage.size(path) == size:
                continue
            default_storage.delete(path)
        with source.open("rb") as content:
            default_storage.save(path, File(content))
        done.copied += 1
        done.size += size
    return done


def _contents(folder: str) -> Iterator[str]:
    folders, names = storage.list_folder(folder)
    for name in names:
        yield f"{folder}/{name}" if folder else name
    for name in folders:
        if folder or name not in TEMPORARY:
            yield from _contents(f"{folder}/{name}" if folder else name)
