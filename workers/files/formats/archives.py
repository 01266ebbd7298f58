"""Zip archives of office documents and books, opened with limits, and the XML in them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from workers.files.base import Unreadable

MAX_ENTRIES: Final = 20_000
MAX_UNPACKED: Final = 1024 * 1024 * 1024  # bytes of all entries
MAX_ENTRY: Final = 256 * 1024 * 1024  # bytes of one that is read
MAX_RATIO: Final = 200  # of an entry that is larger than `SMALL`
MAX_EVENTS: Final = 6_000_000  # starts and ends of elements of an entry
SMALL: Final = 1024 * 1024


class Archive:
    """An archive whose announced sizes are sane. What is read is counted, since announcements may be wrong."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
            raise Unreadable("broken") from error
        if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise Unreadable("unpacks_too_large")
        for entry in entries:
            if entry.file_size > SMALL and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
                raise Unreadable("unpacks_too_large")
            if entry.flag_bits & 1:
                raise Unreadable("encrypted")
        self.names = {entry.filename for entry in entries}

    def open(self, name: str) -> IO[bytes]:
        """An entry, as a file that gives at most `MAX_ENTRY` bytes."""
        try:
            if self._zip.getinfo(name).file_size > MAX_ENTRY:
                raise Unreadable("unpacks_too_large")
            return _Counted(self._zip.open(name))  # type: ignore[return-value]
        except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise Unreadable("broken") from error

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def events(self, name: str) -> Iterator[tuple[str, Any]]:
        """The starts and ends of the elements of an entry. The caller clears elements that it has read."""
        with self.open(name) as file:
            try:
                for number, one in enumerate(iterparse(file, events=("start", "end"))):
                    if number > MAX_EVENTS:
                        raise Unreadable("unpacks_too_large")
                    yield one
            except (ParseError, DefusedXmlException, zipfile.BadZipFile, EOFError, ValueError) as error:
                raise Unreadable("broken") from error


class _Counted:
    """A file that may be read up to a number of bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = MAX_ENTRY

    def read(self, size: int = -1) -> bytes:
        import zlib

        try:
            data = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        except (zlib.error, EOFError, zipfile.BadZipFile) as error:
            raise Unreadable("broken") from error
        self._left -= len(data)
        if self._left < 0:
            raise Unreadable("unpacks_too_large")
        return data

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def local(element: Any) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def attribute(element: Any, name: str) -> str:
    """An attribute by its name without a namespace; empty if there is none."""
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")
