"""The bytes of uploads and contents in the default storage: a folder, or a bucket that all web processes share.

uploads/<upload>/<offset>.<any>     a chunk; `Upload.chunks` names those that count
files/<xx>/<upload>/<any>           a content, in the folder of the upload that brought it, beside what is made of it
"""

from __future__ import annotations

import contextlib
import errno
import functools
import re
import secrets
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from io import RawIOBase
from typing import IO, Any, Final, ParamSpec, TypeVar

import structlog
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _

from chat.protocol.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")
PART: Final = 256 * 1024  # bytes that are read at once
_CONTENT: Final = re.compile(r"files/[0-9a-f]{2}/[0-9a-f-]{36}/[^/]+")  # as `content_path`, or what replaces it
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

logger = structlog.get_logger(__name__)


class MissingContentError(Exception):
    """The storage does not have what a row says it has."""


@functools.cache
def storage_errors() -> tuple[type[BaseException], ...]:
    """What the storage raises when it is away, full, or refuses."""
    if not settings.FILES_IN_S3:
        return (OSError,)
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (OSError, BotoCoreError, ClientError, Boto3Error)


def guarded(do: Callable[P, R]) -> Callable[P, R]:
    """Turns what the storage raises into `Unavailable` with a sentence that says what is kept."""

    @functools.wraps(do)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return do(*args, **kwargs)
        except FileNotFoundError as error:
            raise MissingContentError from error
        except storage_errors() as error:
            raise _unavailable(error, do.__name__) from error

    return call


def _unavailable(error: BaseException, doing: str) -> Unavailable:
    logger.error("storage_failed", doing=doing, error=type(error).__name__, errno=getattr(error, "errno", None))
    if getattr(error, "errno", None) in _FULL:
        return Unavailable(_("The server has no room for files left. What was uploaded is kept. Try again later."))
    return Unavailable(_("Files can't be stored or read right now. What was uploaded is kept. Try again later."))


def chunk_path(upload_id: uuid.UUID, offset: int) -> str:
    """Another path each time: of two tabs that send the same chunk, none writes into the other's."""
    return f"{upload_folder(upload_id)}/{offset}.{secrets.token_hex(4)}"


def upload_folder(upload_id: uuid.UUID) -> str:
    return f"uploads/{upload_id}"


def content_folder(upload_id: uuid.UUID) -> str:
    return f"files/{upload_id.hex[-2:]}/{upload_id}"


def content_path(upload_id: uuid.UUID) -> str:
    return f"{content_folder(upload_id)}/{secrets.token_hex(4)}"


def image_path(content_path: str, position: int) -> str:
    """Where the image is that was made of the part at a position of a content, for models and for the page."""
    return f"{content_path.rpartition('/')[0]}/image-{position}"


@guarded
def save(path: str, content: IO[bytes] | RawIOBase) -> str:
    """Writes a content; its path, as the storage named it. What a failure leaves behind is deleted."""
    try:
        return default_storage.save(path, File(content))  # type: ignore[arg-type]
    except BaseException:
        with contextlib.suppress(Exception):
            default_storage.delete(path)
        raise


@guarded
def open_content(path: str) -> File[bytes]:
    """Opens a content for reading. Raises `MissingContentError` and `Unavailable`."""
    opened: File[bytes] = default_storage.open(path, "rb")
    return opened


class Parts(Iterator[bytes]):
    """A content in parts of `PART` bytes. The first is read at once: what fails then fails before anything is sent.

    It closes itself at the end; whoever may stop before that calls `close`. Raises `MissingContentError` and
    `Unavailable` when it is made, and what the storage raises later.
    """

    def __init__(self, path: str) -> None:
        self._file = open_content(path)
        self._next = self._read()

    @guarded
    def _read(self) -> bytes:
        try:
            part: bytes = self._file.read(PART)
        except BaseException:
            self._file.close()
            raise
        return part

    def __next__(self) -> bytes:
        part = self._next
        if not part:
            self.close()
            raise StopIteration
        self._next = self._read()
        return part

    def close(self) -> None:
        self._file.close()


def delete(paths: Iterable[str]) -> int:
    """Deletes contents; how many could not be. Each failure is logged: `manage.py files verify` finds what is left."""
    failed = 0
    for path in paths:
        try:
            default_storage.delete(path)
        except storage_errors() as error:
            failed += 1
            logger.warning("content_not_deleted", path=path, error=type(error).__name__)
    return failed


def delete_content(path: str, thumbnail: str = "") -> int:
    """Deletes a content with all that was made of it, which is beside it; how many objects could not be deleted."""
    folder = path.rpartition("/")[0] if _CONTENT.fullmatch(path) else ""
    left = [one for one in (path, thumbnail) if one and not (folder and one.startswith(f"{folder}/"))]
    return (delete_folder(folder) if folder else 0) + delete(left)


def delete_folder(folder: str, keep: Iterable[str] = ()) -> int:
    """Deletes all contents of a folder but those to `keep`; how many could not be."""
    kept = set(keep)
    try:
        names = list_folder(folder)[1]
    except storage_errors() as error:
        logger.warning("content_not_deleted", path=folder, error=type(error).__name__)
        return 1
    paths = [path for name in names if (path := f"{folder}/{name}") not in kept]
    failed = delete(paths)
    if not kept and not failed and not settings.FILES_IN_S3:
        with contextlib.suppress(OSError):
            default_storage.delete(folder)  # removes a folder that is empty
    return failed


def list_folder(folder: str) -> tuple[list[str], list[str]]:
    """The names of the folders and of the contents in a folder; none if there is none."""
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []
    return list(folders), [name for name in names if name]


def pieces_of(paths: Iterable[str]) -> Generator[bytes, None, None]:
    """Contents one after the other, in pieces. Raises as `Parts`."""
    for path in paths:
        parts = Parts(path)
        try:
            yield from parts
        finally:
            parts.close()


class Joined(RawIOBase):
    """Pieces one after the other as one file that is read once. `watch` gets each piece that is read."""

    def __init__(self, pieces: Generator[bytes, None, None], watch: Callable[[bytes], Any]) -> None:
        self._pieces = pieces
        self._rest = b""
        self._watch = watch

    def close(self) -> None:
        self._pieces.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; all that are left if it is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(PART), b""))
        if not self._rest:
            self._rest = next(self._pieces, b"")
            if self._rest:
                self._watch(self._rest)
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def readinto(self, buffer: Any, /) -> int:
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)
