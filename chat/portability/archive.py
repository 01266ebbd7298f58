"""The JSON documents of an uploaded file: a JSON file, or an archive (ZIP) such as ChatGPT's export.

Nothing is written to disk. Members of an archive are found by their exact names and read up to a limit, whatever size
their headers claim.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from django.utils.translation import gettext as _

from chat.portability.json_stream import DAMAGED, ImportRefusedError, JsonStream

MAX_BYTES: Final = 2 * 2**30  # of JSON in one file, unpacked; no more than one conversation of it is in memory
MAX_MEMBERS: Final = 100_000
_WANTED: Final = re.compile(r"conversations(-\d{1,6})?\.json")


def open_documents(file: Path | IO[bytes], *, max_bytes: int = MAX_BYTES) -> Generator[JsonStream, None, None]:
    """Each document in a file, to be read before the next; `max_bytes` in all.

    Raises `ImportRefusedError`, `OSError`.
    """
    name = file.name if isinstance(file, Path) else "the file"
    if zipfile.is_zipfile(file):
        yield from _from_archive(file, max_bytes)
    elif isinstance(file, Path):
        with file.open("rb") as opened:
            yield _from_file(name, opened, max_bytes)
    else:
        yield _from_file(name, file, max_bytes)


def _from_file(name: str, file: IO[bytes], max_bytes: int) -> JsonStream:
    file.seek(0)
    if file.read(2) == b"PK":
        raise ImportRefusedError(_("%(name)s is an archive that is truncated or damaged.") % {"name": name})
    file.seek(0)
    return JsonStream(name, file, max_bytes)


def _from_archive(file: Path | IO[bytes], max_bytes: int) -> Generator[JsonStream, None, None]:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in _members(archive):
                with archive.open(member) as opened:
                    document = JsonStream(member.filename, opened, max_bytes, packed=True)
                    yield document
                max_bytes -= document.size
    except (*DAMAGED, ValueError) as error:
        raise ImportRefusedError(_("The archive is truncated or damaged (%(error)s).") % {"error": error}) from None


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    everything = archive.infolist()
    if len(everything) > MAX_MEMBERS:
        raise ImportRefusedError(_("The archive has more than %(max_members)s files.") % {"max_members": MAX_MEMBERS})
    wanted: dict[str, zipfile.ZipInfo] = {}
    for member in everything:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if not _WANTED.fullmatch(path.name) or member.is_dir():
            continue
        if path.is_absolute() or ".." in path.parts:
            raise ImportRefusedError(_("%(filename)s points outside the archive.") % {"filename": member.filename})
        if member.filename in wanted:
            raise ImportRefusedError(_("%(filename)s is in the archive twice.") % {"filename": member.filename})
        if member.flag_bits & 1:
            raise ImportRefusedError(_("%(filename)s is encrypted. Decrypt it first.") % {"filename": member.filename})
        wanted[member.filename] = member
    if not wanted:
        raise ImportRefusedError(_("There is no conversations.json in the archive: is it a ChatGPT export?"))
    return [wanted[name] for name in sorted(wanted)]
