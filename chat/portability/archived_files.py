"""The contents of files in the archive of an import, beside its JSON. Nothing is unpacked to disk here.

Only a member that the JSON names is read, no more of it than its header announces, and of all together no more than
`MAX_UNPACKED` bytes, or four times the archive.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Final

from chat.files.storage import PART
from chat.portability import refusals
from chat.portability.archive import opened_archive
from chat.portability.json_stream import DAMAGED, ImportRefusedError

MAX_UNPACKED: Final = 2 * 2**30
_TIMES: Final = 4  # our exports store files as they are


class ArchivedFiles:
    """The members of an archive; none if the file is no archive. `close` it."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        self._opened = ExitStack()
        self._archive = self._opened.enter_context(opened_archive(file)) if zipfile.is_zipfile(file) else None
        # By its own size: members may claim any, and share their bytes.
        self._left = max(MAX_UNPACKED, _TIMES * _size_of(file))

    @property
    def exists(self) -> bool:
        """Whether there is an archive at all."""
        return self._archive is not None

    def find(self, document: str, path: str) -> zipfile.ZipInfo:
        """The member at `path`, which is relative to the folder of the JSON document. Raises `ImportRefusedError`."""
        if self._archive is None or not path:
            raise ImportRefusedError(refusals.FILE_MISSING)
        try:
            info = self._archive.getinfo(str(PurePosixPath(document.replace("\\", "/")).parent / path))
        except KeyError:
            raise ImportRefusedError(refusals.FILE_MISSING) from None
        if info.flag_bits & 1:
            raise ImportRefusedError(refusals.FILE_ENCRYPTED)
        if info.file_size > self._left:
            raise ImportRefusedError(refusals.FILES_TOO_LARGE)
        return info

    def read(self, info: zipfile.ZipInfo) -> Generator[bytes, None, None]:
        """The bytes of a member in pieces. Raises `ImportRefusedError` for a damaged one, and `OSError`."""
        assert self._archive is not None
        self._left -= info.file_size
        try:
            with self._archive.open(info) as opened:
                while piece := opened.read(PART):
                    yield piece
        except (*DAMAGED, ValueError):
            raise ImportRefusedError(refusals.FILE_DAMAGED) from None

    def close(self) -> None:
        self._opened.close()


def _size_of(file: Path | IO[bytes]) -> int:
    return file.stat().st_size if isinstance(file, Path) else file.seek(0, io.SEEK_END)
