"""Files made while they are sent, so that none is in memory as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header


def stream_file(request: HttpRequest, name: str, content_type: str, pieces: Iterator[str]) -> StreamingHttpResponse:
    """A download of `pieces`. When making them fails half-way, the connection is cut: a file is whole or not there."""
    encoded = (piece.encode() for piece in pieces)
    response = StreamingHttpResponse(
        # Under ASGI, Django would gather a plain iterator in a list first.
        _one_by_one(encoded) if isinstance(request, ASGIRequest) else encoded,
        content_type=content_type,
    )
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Cache-Control"] = "no-store"
    return response


async def _one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    def advance() -> bytes | None:
        return next(pieces, None)

    while (piece := await sync_to_async(advance)()) is not None:
        yield piece
