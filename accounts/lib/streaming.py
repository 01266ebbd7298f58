"""Files made while they are sent, so that none is in memory as a whole; and CSV."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from accounts.lib.db import release_connections

BOM: Final = "\ufeff"  # tells spreadsheets that the file is UTF-8
# What a cell begins with that a spreadsheet computes; also in full width, which some read alike (OWASP, CSV injection).
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
ROWS_LINE: Final = "# rows: "
CSV_TYPE: Final = "text/csv; charset=utf-8"
PART: Final = 64 * 1024  # bytes or characters that are sent at once of what has checks
CHECK_SECONDS: Final = 0.25  # between two checks
M = TypeVar("M", bound=Model)
S = TypeVar("S", str, bytes)


class AccessLostError(Exception):
    """Who downloads something may not read it any more. The download is cut, as after any other error half-way."""


def stream_file(
    request: HttpRequest, name: str, content_type: str, pieces: Iterator[str] | Iterator[bytes]
) -> StreamingHttpResponse:
    """A download of `pieces`, each of which may query the database. An error half-way cuts the connection, so that no
    client keeps half a file. A slow client holds no database connection.
    """
    encoded = (piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    response = StreamingHttpResponse(
        # Under ASGI, Django would gather a plain iterator in a list first.
        _one_by_one(encoded) if isinstance(request, ASGIRequest) else encoded,
        content_type=content_type,
    )
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Cache-Control"] = "no-store"
    return response


def send_file(
    request: HttpRequest, name: str, content_type: str, content: bytes, may_read: Callable[[], bool]
) -> HttpResponseBase:
    """A download of `content`, which ends before its end once `may_read()` is false (`in_parts`)."""
    response: HttpResponseBase
    if len(content) <= PART:
        response = HttpResponse(content, content_type=content_type)
    else:
        parts = in_parts(content, may_read)
        response = StreamingHttpResponse(
            _one_by_one(parts) if isinstance(request, ASGIRequest) else parts, content_type=content_type
        )
        response["Content-Length"] = str(len(content))
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response


def in_parts(whole: S, may_read: Callable[[], bool]) -> Iterator[S]:
    """Parts of `PART` for a client that may read slowly. `may_read` is asked every `CHECK_SECONDS` in between.

    Raises `AccessLostError` once it is false. The caller has asked it before the first part.
    """
    asked_at = time.monotonic()
    for at in range(0, len(whole), PART):
        if at and time.monotonic() - asked_at >= CHECK_SECONDS:
            if not may_read():
                raise AccessLostError
            asked_at = time.monotonic()
        yield whole[at : at + PART]


async def _one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    def advance() -> bytes | None:
        try:
            return next(pieces, None)
        finally:
            release_connections()

    while (piece := await sync_to_async(advance)()) is not None:
        yield piece


def csv_pieces(columns: Iterable[str], pages: Iterable[Iterable[Iterable[Any]]], *, bom: bool = False) -> Iterator[str]:
    """A CSV file as text: first the columns' names, then a piece for each page of rows, then `rows_line`."""
    yield (BOM if bom else "") + csv_text([columns])
    count = 0
    for page in pages:
        rows = list(page)
        count += len(rows)
        yield csv_text(rows)
    yield csv_text([[rows_line(count)]])


def rows_line(count: int) -> str:
    """The last line of a CSV file, by which a reader knows that it is whole."""
    return f"{ROWS_LINE}{count}"


def csv_text(rows: Iterable[Iterable[Any]], *, line_end: str = "\r\n") -> str:
    """Rows as lines of CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator=line_end).writerows(rows)
    return out.getvalue()


def pages_by_key(rows: QuerySet[M], size: int, *, newest_first: bool = False) -> Iterator[list[M]]:
    """All rows, in lists of at most `size`, ordered by primary key.

    Each page is a query of its own that starts after the previous page. A slow reader therefore holds neither a
    transaction nor a database connection.
    """
    ordered, after = rows.order_by("-pk" if newest_first else "pk"), "pk__lt" if newest_first else "pk__gt"
    page = list(ordered[:size])
    while page:
        release_connections()
        yield page
        page = list(ordered.filter(**{after: page[-1].pk})[:size])


def escape_formula(cell: Any) -> Any:
    """The cell; text that a spreadsheet would compute gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
