"""The bytes of a file as an HTTP response, sent piece by piece while the reader may see the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.http import content_disposition_header

from accounts.lib.streaming import CHECK_SECONDS, AccessLostError, stream_file
from chat.files import storage
from chat.files.kinds import HEAD, PDF, SHOWN_IMAGES, kind_of
from chat.models import File, FileKind, FileState

# Whatever a file holds: a browser runs nothing of it, also where somebody opens it instead of saving it.
SANDBOX: Final = "default-src 'none'; sandbox"
# The browser's own viewer of PDF draws with scripts and styles of its own, and loads nothing from anywhere.
PDF_SANDBOX: Final = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; plugin-types application/pdf"
UNKNOWN: Final = "application/octet-stream"
THUMBNAIL: Final = "image/webp"


def send_content(
    request: HttpRequest, file: File, may_see: Callable[[], bool], *, inline: bool = False
) -> HttpResponseBase:
    """The original. Shown in the page only if `inline` and of a type that browsers show without running anything; of
    other images (HEIC, TIFF, …) that is the one that was made of it for models.

    `may_see` is asked several times a second. Raises `Http404` if the storage does not have it, and `Unavailable`.
    """
    blob = file.blob
    if inline and blob.kind == FileKind.IMAGE and blob.state == FileState.READ and blob.media_type not in SHOWN_IMAGES:
        path = storage.image_path(blob.path, 1)
        return _send(request, path, file.name, _type_of(path), None, may_see, inline=True)
    shown = inline and (blob.media_type == PDF or (blob.media_type in SHOWN_IMAGES and blob.state == FileState.READ))
    return _send(
        request, blob.path, file.name, blob.media_type if shown else UNKNOWN, blob.size, may_see, inline=shown
    )  # fmt: skip


def _type_of(path: str) -> str:
    """The media type of an image that was made of a content."""
    try:
        with storage.open_content(path) as opened:
            return kind_of(opened.read(HEAD), "").media_type
    except storage.MissingContentError:
        raise Http404 from None


def send_thumbnail(request: HttpRequest, file: File, may_see: Callable[[], bool]) -> HttpResponseBase:
    """The small picture of a file. Raises `Http404` if there is none, and `Unavailable`."""
    if not file.blob.thumbnail:
        raise Http404
    return _send(request, file.blob.thumbnail, "thumbnail.webp", THUMBNAIL, None, may_see, inline=True)


def _send(
    request: HttpRequest, path: str, name: str, media_type: str, size: int | None, may_see: Callable[[], bool], *,
    inline: bool,
) -> HttpResponseBase:  # fmt: skip
    if request.method == "HEAD":
        response: HttpResponseBase = HttpResponse(content_type=media_type)
    else:
        try:
            parts = storage.Parts(path)
        except storage.MissingContentError:
            raise Http404 from None
        response = stream_file(request, name, media_type, _while_seen(parts, may_see))
        response._resource_closers.append(parts.close)  # type: ignore[attr-defined]  # noqa: SLF001  # before its end
    if size is not None:
        response.headers["Content-Length"] = str(size)
    response.headers["Content-Disposition"] = content_disposition_header(not inline, name) or "attachment"
    response.headers["Content-Security-Policy"] = PDF_SANDBOX if media_type == PDF else SANDBOX
    if media_type == PDF:
        response.headers["X-Frame-Options"] = "SAMEORIGIN"  # the page's viewer has a frame for it
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _while_seen(parts: Iterator[bytes], may_see: Callable[[], bool]) -> Iterator[bytes]:
    asked_at = time.monotonic()
    for part in parts:
        if time.monotonic() - asked_at >= CHECK_SECONDS:
            if not may_see():
                raise AccessLostError
            asked_at = time.monotonic()
        yield part
