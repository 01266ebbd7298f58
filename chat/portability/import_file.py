"""The file of an import: its conversations one at a time, its collections, and its archive."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

from chat.portability import formats
from chat.portability.archive import MAX_BYTES, open_documents
from chat.portability.archived_files import ArchivedFiles
from chat.portability.formats import Format, ImportedConversation, own
from chat.portability.formats.own import ImportedCollection
from chat.portability.json_stream import ImportRefusedError, JsonStream
from chat.portability.message_tree import clean_text, normalise_tree


class ImportFile:
    """A file that was read to its end: iterating reads it again, one conversation at a time.

    `len` is the number of entries, of which some may not be imported. A conversation that cannot be has an `error`.
    `archive` has the contents of files, and `collections` those of our own exports; `close` it.
    """

    def __init__(self, file: Path | IO[bytes], max_bytes: int, name: str = "") -> None:
        self._file = file
        self._name = name
        self._max_bytes = max_bytes
        self.collections: list[ImportedCollection] = []
        with contextlib.closing(self._documents()) as documents:
            self._formats: list[Format | str] = [self._format_or_reason(document) for document in documents]
        if all(isinstance(known, str) for known in self._formats):
            raise ImportRefusedError(next(str(reason) for reason in self._formats))
        self.archive = ArchivedFiles(file)

    def close(self) -> None:
        self.archive.close()

    def __len__(self) -> int:
        return sum(1 if isinstance(known, str) else known.count for known in self._formats)

    def __iter__(self) -> Iterator[ImportedConversation]:
        with contextlib.closing(self._documents()) as documents:
            for document, known in zip(documents, self._formats, strict=True):
                if isinstance(known, str):
                    yield ImportedConversation("", "", error=known, place=document.name)
                    continue
                for imported in formats.read_conversations(document, known):
                    _check(imported)
                    yield imported

    def _format_or_reason(self, document: JsonStream) -> Format | str:
        """The format of a document; of one that may be something else, why it is not read. Raises
        `ImportRefusedError`.
        """
        try:
            found = formats.detect_format(document)
        except ImportRefusedError as error:
            if not document.may_be_other:
                raise
            return str(error)
        if found.reader is own.read_conversation:
            self.collections += own.read_collections(document)
        return found

    def _documents(self) -> Generator[JsonStream, None, None]:
        return open_documents(self._file, max_bytes=self._max_bytes, name=self._name)


def _check(imported: ImportedConversation) -> None:
    """Makes it what can be stored, or sets its `error`."""
    if not imported.error:
        try:
            normalise_tree(imported)
        except ImportRefusedError as error:
            imported.error = str(error)
    imported.title = " ".join(clean_text(imported.title).split())[:200]
    imported.place = clean_text(imported.place)
    imported.error = clean_text(imported.error)


def read_file(file: Path | IO[bytes], *, max_bytes: int = MAX_BYTES, name: str = "") -> ImportFile:
    """Checks a file, JSON or an archive of it, up to `max_bytes` unpacked. `name`: of a file without a path.

    Raises `ImportRefusedError` when the whole file is refused, `OSError` when it cannot be read.
    """
    return ImportFile(file, max_bytes, name)
