"""Staff's page of the lists that they export in the background: how far each is, its file, and its end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import IO, Final

from django.apps import apps
from django.conf import settings
from django.contrib import admin, messages
from django.core.files.storage import default_storage
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts import audit
from accounts.auth.requests import user_of
from accounts.lib.formatting import file_size, number
from accounts.lib.streaming import CSV_TYPE, stream_file
from accounts.models import User
from accounts.staff.background import register_background
from accounts.staff.notices import register_notices
from chat.models import StaffExport, TransferState
from chat.portability.staff_exports import create_staff_export, fetch_staff_export
from chat.portability.transfers import delete_of
from chat.protocol.errors import ChatError, NotFound

SHOWN: Final = 50
CHUNK: Final = 256 * 2**10  # bytes


def begin(request: HttpRequest, model: type[Model]) -> HttpResponseBase:
    """Starts the export of a list with the filters of the address, and goes to the page on which it appears."""
    try:
        create_staff_export(user_of(request), model, request.GET.urlencode())
    except ChatError as error:
        messages.error(request, error.message)
    else:
        said = gettext("This list is long, so the file is being prepared in the background. It appears here.")
        messages.success(request, said)
    return redirect("staff_exports")


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """The exports of the member of staff, the newest first."""
    rows = StaffExport.objects.filter(user=user_of(request)).order_by("-created_at")[:SHOWN]
    shown = [_shown(row) for row in rows]
    context = {
        **admin.site.each_context(request),
        "title": gettext("Exports"),
        "rows": shown,
        "busy": any(row["busy"] for row in shown),
        "days": settings.EXPORT_DAYS,
        "at": timezone.localtime(),
    }
    return TemplateResponse(request, "admin/exports.html", context)


def _shown(row: StaffExport) -> dict[str, object]:
    is_there = row.state == TransferState.DONE and row.file and row.expires_at and row.expires_at > timezone.now()
    return {
        "row": row,
        "name": name_of(row),
        "rows": number(row.done),
        "size": file_size(row.size) if row.size else "",
        "busy": row.in_progress,
        "address": reverse("staff_export", args=[row.pk]) if is_there else "",
    }


def name_of(row: StaffExport) -> str:
    """The list's name, as the admin has it."""
    try:
        options = apps.get_model(row.kind)._meta  # noqa: SLF001  # Django documents it
    except LookupError:
        return row.kind
    return str(options.verbose_name_plural).capitalize()


@require_safe
def download(request: HttpRequest, job_id: uuid.UUID) -> HttpResponseBase:
    """The file, for the member of staff who asked for it only; 404 once it has expired."""
    try:
        job = fetch_staff_export(user_of(request).pk, job_id)
        file = default_storage.open(str(job.file), "rb")
    except (NotFound, FileNotFoundError):
        raise Http404 from None
    audit.record(request, "download_export", job, details=f"{job.kind} {job.query}"[:500])
    name = f"{job.kind.partition('.')[2]}-{job.created_at:%Y%m%d-%H%M%S}.csv"
    response = stream_file(request, name, CSV_TYPE, _pieces(file))
    response["Content-Length"] = str(job.size)
    return response


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece


@require_POST
def delete(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Deletes an export before its time, or ends one in progress."""
    try:
        delete_of(StaffExport, user_of(request).pk, job_id)
    except NotFound:
        raise Http404 from None
    messages.success(request, gettext("The export has been deleted."))
    return redirect("staff_exports")


def notices(viewer: User) -> list[tuple[str, str, str]]:
    """Exports that are ready and that nobody has downloaded yet, on the admin's first page."""
    rows = StaffExport.objects.filter(
        user=viewer, state=TransferState.DONE, fetched_at=None, expires_at__gt=timezone.now()
    )
    return [
        (
            gettext("The export of “%(list)s” is ready.") % {"list": name_of(row)},
            gettext("Show"),
            reverse("staff_exports"),
        )
        for row in rows.order_by("-created_at")[:3]
    ]


register_background(begin)
register_notices(notices)
