"""Exports that are prepared in the background: starting one, downloading it while it is kept, deleting it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import IO, Final

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from accounts.lib.streaming import stream_file
from chat.models import ExportJob
from chat.portability.export_jobs import create_export
from chat.portability.transfers import delete_of, downloadable
from chat.protocol.errors import ChatError
from chat.views.decorators import for_members

CHUNK: Final = 256 * 2**10  # bytes


@require_POST
@for_members
def prepare(request: HttpRequest) -> HttpResponse:
    """POST `reasoning=1` for an export with what the models thought."""
    try:
        create_export(user_of(request), reasoning=request.POST.get("reasoning") == "1")
    except ChatError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Your export is being prepared. The link to download it appears here."))
    return redirect("chat:settings_data")


@require_safe
@for_members
def download(request: HttpRequest, job_id: uuid.UUID) -> HttpResponseBase:
    """The file, for its user only; 404 once it has expired."""
    job = downloadable(ExportJob, user_of(request).pk, job_id)
    try:
        file = default_storage.open(str(job.file), "rb")
    except FileNotFoundError:
        raise Http404 from None
    response = stream_file(request, f"antiphon-{job.created_at:%Y-%m-%d}.zip", "application/zip", _pieces(file))
    response["Content-Length"] = str(job.size)
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_safe
@for_members
def read_state(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """GET: how far an export is, as JSON: `state`, `done` and `total` conversations."""
    job = ExportJob.objects.filter(user=user_of(request), pk=job_id).first()
    if job is None:
        raise Http404
    return JsonResponse({"state": job.state, "done": job.done, "total": job.total})


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece


@require_POST
@for_members
def delete(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Deletes an export before its time, or ends one in progress."""
    delete_of(ExportJob, user_of(request).pk, job_id)
    messages.success(request, _("The export has been deleted."))
    return redirect("chat:settings_data")
