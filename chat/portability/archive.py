"""The JSON documents of an uploaded file: a JSON file, or an archive (ZIP) such as ChatGPT's export.

Nothing is written to disk. Members of an archive are found by their exact names, else all JSON files in it are tried,
and read up to a limit, whatever size their headers claim.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from chat.portability import refusals
from chat.portability.json_stream import DAMAGED, ImportRefusedError, JsonStream

MAX_BYTES: Final = 2 * 2**30  # of JSON in one file, unpacked; no more than one conversation of it is in memory
MAX_MEMBERS: Final = 100_000
MAX_DIRECTORY: Final = 16 * 2**20  # bytes of the list of all members, of which each takes 47 and as an object 400
_WANTED: Final = re.compile(r"conversations(-\d{1,6})?\.json")
_ATTACHED: Final = re.compile(r"(.*/)?files/[0-9a-f-]{36}/[^/]+")  # of our own exports: what people attached
_ANY: Final = re.compile(r"[^.].*\.json", re.IGNORECASE)  # no hidden files, which some systems add


def open_documents(
    file: Path | IO[bytes], *, max_bytes: int = MAX_BYTES, name: str = ""
) -> Generator[JsonStream, None, None]:
    """Each document in a file, to be read before the next; `max_bytes` in all. `name`: of a file without a path.

    Raises `ImportRefusedError`, `OSError`.
    """
    name = file.name if isinstance(file, Path) else name or "the file"
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
        raise ImportRefusedError(refusals.DAMAGED_FILE % {"file": name})
    file.seek(0)
    return JsonStream(name, file, max_bytes)


def _from_archive(file: Path | IO[bytes], max_bytes: int) -> Generator[JsonStream, None, None]:
    try:
        with opened_archive(file) as archive:
            members, are_known = _members(archive)
            for member in members:
                with archive.open(member) as opened:
                    document = JsonStream(member.filename, opened, max_bytes, packed=True, may_be_other=not are_known)
                    yield document
                max_bytes -= document.size
    except (*DAMAGED, ValueError) as error:
        raise ImportRefusedError(refusals.DAMAGED_ARCHIVE % {"error": error}) from None


@contextmanager
def opened_archive(file: Path | IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """An archive whose list of members is not too long to be read. Raises `ImportRefusedError`, what `zipfile` raises,
    and `OSError`.
    """
    with ExitStack() as opened:
        source = opened.enter_context(file.open("rb")) if isinstance(file, Path) else file
        yield opened.enter_context(zipfile.ZipFile(_InParts(source)))


class _InParts:
    """A file that refuses to give more than `MAX_DIRECTORY` bytes at once. `zipfile` reads the list of members as a
    whole, however many there are, and makes an object of each before anybody can count them; members come in parts.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise ImportRefusedError(refusals.MANY_FILES % {"most": f"{MAX_MEMBERS:,}"})
        return self._file.read(size)


def _members(archive: zipfile.ZipFile) -> tuple[list[zipfile.ZipInfo], bool]:
    """The members to read, and whether they are exports by their names."""
    everything = archive.infolist()
    if len(everything) > MAX_MEMBERS:
        raise ImportRefusedError(refusals.MANY_FILES % {"most": f"{MAX_MEMBERS:,}"})
    named = _wanted(everything, _WANTED)
    found = named or _wanted(everything, _ANY)
    if not found:
        raise ImportRefusedError(refusals.NO_FILES)
    return [found[name] for name in sorted(found)], bool(named)


def _wanted(members: list[zipfile.ZipInfo], names: re.Pattern[str]) -> dict[str, zipfile.ZipInfo]:
    wanted: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if not names.fullmatch(path.name) or member.is_dir() or _ATTACHED.fullmatch(str(path)):
            continue
        if path.is_absolute() or ".." in path.parts:
            raise ImportRefusedError(refusals.OUTSIDE % {"file": member.filename})
        if member.filename in wanted:
            raise ImportRefusedError(refusals.TWICE % {"file": member.filename})
        if member.flag_bits & 1:
            raise ImportRefusedError(refusals.ENCRYPTED % {"file": member.filename})
        wanted[member.filename] = member
    return wanted
