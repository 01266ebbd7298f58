"""The JSON in a file that somebody brought: as it is, or in an archive as ChatGPT's export comes.

Nothing is written to disk and nothing in an archive is followed: members are found by their exact names and read up to
a limit, whatever their headers promise.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

MAX_BYTES: Final = 512 * 2**20  # of JSON in one file, unpacked
MAX_MEMBERS: Final = 100_000
_WANTED: Final = re.compile(r"conversations(-\d{1,6})?\.json")
_CHUNK: Final = 2**20


class ImportRefusedError(Exception):
    """One sentence on what is wrong, and where: with the file, or with a conversation in it."""


def read_documents(file: Path | IO[bytes], *, most: int = MAX_BYTES) -> Iterator[tuple[str, Any]]:
    """(name, parsed JSON) of each document in a file, `most` bytes in all. Raises `ImportRefusedError`, `OSError`."""
    name = file.name if isinstance(file, Path) else "the file"
    if zipfile.is_zipfile(file):
        yield from _from_archive(file, most)
        return
    if isinstance(file, Path):
        with file.open("rb") as opened:
            raw = opened.read(most + 1)
    else:
        file.seek(0)
        raw = file.read(most + 1)
    if raw[:2] == b"PK":
        raise ImportRefusedError(f"{name} is an archive that is cut off or damaged.")
    if len(raw) > most:
        raise ImportRefusedError(f"{name} has more than {_mb(most)}.")
    yield name, parse(name, raw)


def parse(name: str, raw: bytes) -> Any:
    """JSON, or `ImportRefusedError` with the place."""
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ImportRefusedError(f"{name} is not JSON, or it is cut off: {error.msg} at {where}.") from None
    except UnicodeDecodeError as error:
        raise ImportRefusedError(f"{name} is not text in UTF-8: byte {error.start} is none of it.") from None
    except RecursionError:
        raise ImportRefusedError(f"{name} is nested too deeply.") from None
    except ValueError:
        raise ImportRefusedError(f"{name} has a number in it that is too long.") from None


def _from_archive(file: Path | IO[bytes], most: int) -> Iterator[tuple[str, Any]]:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in _members(archive):
                raw = _read(archive, member, most)
                most -= len(raw)
                yield member.filename, parse(member.filename, raw)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise ImportRefusedError(f"The archive is cut off or damaged ({error}).") from None


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    everything = archive.infolist()
    if len(everything) > MAX_MEMBERS:
        raise ImportRefusedError(f"The archive has more than {MAX_MEMBERS} files.")
    wanted: dict[str, zipfile.ZipInfo] = {}
    for member in everything:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if not _WANTED.fullmatch(path.name) or member.is_dir():
            continue
        if path.is_absolute() or ".." in path.parts:
            raise ImportRefusedError(f"{member.filename} leads out of the archive.")
        if member.filename in wanted:
            raise ImportRefusedError(f"{member.filename} is in the archive twice.")
        if member.flag_bits & 1:
            raise ImportRefusedError(f"{member.filename} is encrypted: unpack it first.")
        wanted[member.filename] = member
    if not wanted:
        raise ImportRefusedError("There is no conversations.json in the archive: is it ChatGPT's export?")
    return [wanted[name] for name in sorted(wanted)]


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Piece by piece: what a header says of the size is not believed."""
    pieces, size = [], 0
    with archive.open(member) as opened:
        while piece := opened.read(_CHUNK):
            size += len(piece)
            if size > most:
                raise ImportRefusedError(f"{member.filename} unpacks to more than {_mb(most)}.")
            pieces.append(piece)
    return b"".join(pieces)


def _mb(size: int) -> str:
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size} bytes"
