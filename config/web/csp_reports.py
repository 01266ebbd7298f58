"""Logs what browsers report as violations of the Content-Security-Policy."""

from __future__ import annotations

import functools
import time
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts.lib.rate_limit import Bucket, own_rate, parse_rate

MAX_BYTES: Final = 16 * 1024
MAX_CHARACTERS: Final = 200  # of each value that is logged

logger = structlog.get_logger(__name__)


class Violation(msgspec.Struct, rename="kebab"):
    """The parts of a report that say what to look at. `script-sample` is left out: it may hold a message."""

    document_uri: str = ""
    effective_directive: str = ""
    violated_directive: str = ""
    blocked_uri: str = ""
    source_file: str = ""
    line_number: Annotated[int, msgspec.Meta(ge=0)] | None = None
    disposition: str = ""


class Report(msgspec.Struct):
    """What `report-uri` sends (CSP 3 §5.3)."""

    csp_report: Violation = msgspec.field(name="csp-report")


@functools.cache
def _bucket(rate: str) -> Bucket:
    return Bucket(parse_rate(rate))


@own_rate
@csrf_exempt  # browsers send it without a token; it only writes a line to the log
@require_POST
def receive_report(request: HttpRequest) -> HttpResponse:
    """Logs one report, under a limit for the whole process, and answers 204; 400 for what is not a report."""
    if int(request.headers.get("Content-Length") or 0) > MAX_BYTES:
        return HttpResponse(status=413)
    if _bucket(settings.RATE_CSP_REPORTS).try_acquire(time.monotonic()):
        return HttpResponse(status=429)
    try:
        violation = msgspec.json.decode(request.body, type=Report).csp_report
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return HttpResponse(status=400)
    logger.warning("csp_violated", **_fields(violation))
    return HttpResponse(status=204)


def _fields(violation: Violation) -> dict[str, Any]:
    return {
        "directive": (violation.effective_directive or violation.violated_directive)[:MAX_CHARACTERS],
        "blocked": _place(violation.blocked_uri),
        "page": _path(violation.document_uri),
        "source": _place(violation.source_file),
        "line": violation.line_number,
    }


def _place(uri: str) -> str:
    """Scheme, host and path of an address, without query and fragment, which may hold secrets; `inline`, `eval`."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "?"
    if parts.scheme not in ("http", "https"):
        return (parts.scheme or uri)[:MAX_CHARACTERS]
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:MAX_CHARACTERS]


def _path(uri: str) -> str:
    """The path of one of our own pages."""
    try:
        return urlsplit(uri).path[:MAX_CHARACTERS]
    except ValueError:
        return "?"
