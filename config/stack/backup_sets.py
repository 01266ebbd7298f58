"""A backup as a set of files in a folder: the database's dump, the stored files, and the checksums of both.

antiphon-20261128-031500.dump, antiphon-20261128-031500.tar, antiphon-20261128-031500.sha256
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.files.storage import default_storage

from config.stack.dump import DumpError, check_dump, dump

NAME: Final = re.compile(r"antiphon-\d{8}-\d{6}\.(dump|tar|sha256)")
CHUNK: Final = 2**20
LEFT_OUT: Final = ("exports", "imports", "uploads")  # folders of what ends by itself within days


@dataclass(frozen=True, slots=True)
class BackupSet:
    """What was written. `stored` is how many stored files the archive has, None without one. `removed`: older files."""

    dump: Path
    archive: Path | None
    bytes: int
    stored: int | None
    removed: list[Path]


def write_set(
    folder: Path, *, with_files: bool, keep: int | None, on_written: Callable[[int], None] = lambda _size: None
) -> BackupSet:
    """Writes a set into a folder, and then, with `keep`, removes all but the newest so many sets of the folder.

    The database comes first, so that the archive has every file that the dump names, but for those that were deleted
    meanwhile. Raises `DumpError`; then no older set was removed, and nothing half done is left.
    """
    if not folder.is_dir():
        raise DumpError(f"{folder} is not a folder.")
    root = _media_root() if with_files else None
    stem = folder / f"antiphon-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    made = [stem.with_suffix(".dump")]
    stored = None
    try:
        dump(made[0], on_written=on_written)
        if root is not None:
            made.append(stem.with_suffix(".tar"))
            stored = _archive(root, made[-1])
        sums = "".join(f"{_sha256(file)}  {file.name}\n" for file in made)
        _write_private(stem.with_suffix(".sha256"), sums)
        made.append(stem.with_suffix(".sha256"))
    except (DumpError, OSError) as error:
        for file in made:
            file.unlink(missing_ok=True)
        raise DumpError(str(error)) from None
    size = sum(file.stat().st_size for file in made)
    removed = _remove_older(folder, keep) if keep else []
    return BackupSet(made[0], made[1] if root is not None else None, size, stored, removed)


def check_set(file: Path) -> list[str]:
    """Reads a set again, or a dump alone, and returns what is wrong with it, a sentence each.

    Checks the checksums of `FILE.sha256` where there is one, that the dump can be read, and that the archive has each
    file whole.
    """
    sums = file.with_suffix(".sha256")
    wrong = []
    names = [file]
    if sums.is_file():
        for line in sums.read_text().splitlines():
            known, _space, name = line.partition("  ")
            one = file.parent / name
            if not NAME.fullmatch(name):
                wrong.append(f"{sums} has a line that is no checksum.")
            elif not one.is_file():
                wrong.append(f"{one} is missing.")
            elif _sha256(one) != known:
                wrong.append(f"{one} has changed since it was written.")
            elif one != file:
                names.append(one)
    for one in names:
        try:
            if one.suffix == ".tar":
                _read_archive(one)
            else:
                check_dump(one)
        except (DumpError, OSError, tarfile.TarError) as error:
            wrong.append(f"{one}: {error}")
    return wrong


def _media_root() -> Path:
    if settings.FILES_IN_S3:
        raise DumpError("Files are in a bucket (S3_BUCKET): back it up there, and leave --files out.")
    return Path(str(default_storage.location))  # type: ignore[attr-defined]  # of a storage in the file system


def _archive(root: Path, target: Path) -> int:
    """Writes the stored files into an archive and returns how many they are."""
    count = 0
    partial = target.with_name(f".{target.name}.part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as archive:
                for file in sorted(root.rglob("*")):
                    inside = file.relative_to(root)
                    if not file.is_file() or file.is_symlink() or inside.parts[0] in LEFT_OUT:
                        continue
                    try:
                        archive.add(file, arcname=str(inside), recursive=False)
                    except FileNotFoundError:  # deleted since the folder was read
                        continue
                    count += 1
            out.flush()
            os.fsync(out.fileno())
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _read_archive(file: Path) -> None:
    with tarfile.open(file) as archive:
        for member in archive:
            found = archive.extractfile(member)
            while found is not None and found.read(CHUNK):
                pass


def _remove_older(folder: Path, keep: int) -> list[Path]:
    files = [file for file in folder.iterdir() if NAME.fullmatch(file.name)]
    stems = sorted({file.stem for file in files}, reverse=True)[keep:]
    older = sorted(file for file in files if file.stem in stems)
    for file in older:
        file.unlink(missing_ok=True)
    return older


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _sha256(file: Path) -> str:
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()
