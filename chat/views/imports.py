"""Imports by upload: starting one, its progress and report, cancelling and undoing it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import structlog
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from chat.models import ImportJob
from chat.portability.import_jobs import REPORTED, Undone, cancel_import, create_import, undo_import
from chat.portability.refusals import FILES_NOT_HERE
from chat.protocol.errors import ChatError, Conflict, Invalid, Unavailable
from chat.views.decorators import STATUSES, for_members

logger = structlog.get_logger(__name__)


@require_POST
@for_members
def start(request: HttpRequest) -> HttpResponseBase:
    """POST `file`. A script, which asks for JSON, gets the id of the import; a form leads back to the section."""
    by_script = "text/html" not in request.headers.get("Accept", "")
    file = request.FILES.get("file")
    try:
        if file is None:
            raise Invalid(_("Choose a file first."))
        job = create_import(user_of(request), file)
    except OSError as error:
        logger.exception("import_not_stored", error=type(error).__name__)
        return _refuse(request, Unavailable(_("The file could not be stored. Try again later.")), by_script=by_script)
    except ChatError as error:
        return _refuse(request, error, by_script=by_script)
    if by_script:
        return JsonResponse({"id": str(job.pk)})
    messages.success(request, _("The file has been uploaded. It is imported in the background."))
    return redirect("chat:settings_data")


def _refuse(request: HttpRequest, error: ChatError, *, by_script: bool) -> HttpResponse:
    if by_script:
        body = {"code": error.code, "message": error.message}
        return JsonResponse(body, status=STATUSES.get(error.code, 503))
    messages.error(request, error.message)
    return redirect("chat:settings_data")


@require_safe
@for_members
def show_report(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """What an import has done, and why it left something out."""
    job = _own(request, job_id)
    # Why no file was imported is said once for all of them.
    said_once = any(reason == FILES_NOT_HERE for _place, reason in job.report)
    more = job.refused + (1 if said_once else job.files_left_out) - len(job.report)
    return render(request, "chat/settings/import.html", {"job": job, "more": more, "reported": REPORTED})


@require_safe
@for_members
def read_state(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """GET: how far an import is, as JSON: `state`, `done` and `total` conversations, `words` for a person."""
    job = _own(request, job_id)
    body: dict[str, Any] = {"state": job.state, "done": job.done, "total": job.total, "words": progress_words(job)}
    return JsonResponse(body)


def progress_words(job: ImportJob) -> str:
    """How far an import is, as a sentence."""
    if not job.total:
        return _("Reading the file…")
    said = ngettext("%(done)d of %(total)d conversation", "%(done)d of %(total)d conversations", job.total)
    return said % {"done": job.done, "total": job.total}


@require_POST
@for_members
def cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ends an import in progress."""
    cancel_import(user_of(request).pk, job_id)
    messages.success(request, _("The import ends. What it has imported already stays; “Undo” moves it to the trash."))
    return redirect("chat:settings_data")


@require_POST
@for_members
def undo(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Moves the conversations that an import has made to the trash, and deletes its unchanged collections."""
    try:
        undone = undo_import(user_of(request).pk, job_id)
    except Conflict as error:
        messages.error(request, error.message)
        return redirect("chat:settings_data")
    for said, count in _words_of(undone):
        messages.success(request, said % {"count": count})
    return redirect("chat:settings_data")


def _words_of(undone: Undone) -> Iterator[tuple[str, int]]:
    """What undoing has done, in sentences with their numbers."""
    if undone.conversations or not undone.collections:
        yield (
            ngettext(
                "%(count)d imported conversation is in the trash now.",
                "%(count)d imported conversations are in the trash now.",
                undone.conversations,
            ),
            undone.conversations,
        )
    if undone.collections:
        yield (
            ngettext(
                "%(count)d imported collection has been deleted.",
                "%(count)d imported collections have been deleted.",
                undone.collections,
            ),
            undone.collections,
        )
    if undone.kept:
        yield (
            ngettext(
                "%(count)d imported collection stays, because it was changed or is used now.",
                "%(count)d imported collections stay, because they were changed or are used now.",
                undone.kept,
            ),
            undone.kept,
        )


def _own(request: HttpRequest, job_id: uuid.UUID) -> ImportJob:
    job = ImportJob.objects.filter(user=user_of(request), pk=job_id).first()
    if job is None:
        raise Http404
    return job
