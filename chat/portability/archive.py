"""Reads the JSON of an uploaded file: a JSON file, or an archive (ZIP) such as ChatGPT's export.

Nothing is written to disk. Members of an archive are found by their exact names and read up to a limit, whatever size
their headers claim.
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
    """A file, or one conversation in it, is not imported. The message is a sentence that says why, and where."""


def read_documents(file: Path | IO[bytes], *, max_bytes: int = MAX_BYTES) -> Iterator[tuple[str, Any]]:
    """(name, parsed JSON) of each document in a file, `max_bytes` in all. Raises `ImportRefusedError`, `OSError`."""
    name = file.name if isinstance(file, Path) else "the file"
    if zipfile.is_zipfile(file):
        yield from _from_archive(file, max_bytes)
        return
    if isinstance(file, Path):
        with file.open("rb") as opened:
            raw = opened.read(max_bytes + 1)
    else:
        file.seek(0)
        raw = file.read(max_bytes + 1)
    if raw[:2] == b"PK":
        raise ImportRefusedError(f"{name} is an archive that is truncated or damaged.")
    if len(raw) > max_bytes:
        raise ImportRefusedError(f"{name} is larger than {_mb(max_bytes)}.")
    yield name, parse(name, raw)


def parse(name: str, raw: bytes) -> Any:
    """The parsed JSON. Raises `ImportRefusedError`, which names the place of the error."""
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ImportRefusedError(f"{name} is not JSON, or it is truncated: {error.msg} at {where}.") from None
    except UnicodeDecodeError as error:
        raise ImportRefusedError(f"{name} is not UTF-8 text: byte {error.start} is invalid.") from None
    except RecursionError:
        raise ImportRefusedError(f"{name} is nested too deeply.") from None
    except ValueError:
        raise ImportRefusedError(f"{name} contains a number that is too long.") from None


def _from_archive(file: Path | IO[bytes], max_bytes: int) -> Iterator[tuple[str, Any]]:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in _members(archive):
                raw = _read(archive, member, max_bytes)
                max_bytes -= len(raw)
                yield member.filename, parse(member.filename, raw)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise ImportRefusedError(f"The archive is truncated or damaged ({error}).") from None


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
            raise ImportRefusedError(f"{member.filename} points outside the archive.")
        if member.filename in wanted:
            raise ImportRefusedError(f"{member.filename} is in the archive twice.")
        if member.flag_bits & 1:
            raise ImportRefusedError(f"{member.filename} is encrypted. Decrypt it first.")
        wanted[member.filename] = member
    if not wanted:
        raise ImportRefusedError("There is no conversations.json in the archive: is it a ChatGPT export?")
    return [wanted[name] for name in sorted(wanted)]


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """The member, read piece by piece, since the size in its header may be wrong. Raises `ImportRefusedError`."""
    pieces, size = [], 0
    with archive.open(member) as opened:
        while piece := opened.read(_CHUNK):
            size += len(piece)
            if size > max_bytes:
                raise ImportRefusedError(f"{member.filename} unpacks to more than {_mb(max_bytes)}.")
            pieces.append(piece)
    return b"".join(pieces)


def _mb(size: int) -> str:
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size} bytes"
