"""Staff's page of the queues: what waits for workers and what they do, by kind of job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.lib.formatting import NOTHING, number, seconds
from chat.dashboard.links import Links
from chat.dashboard.panels import TOO_SLOW
from chat.dashboard.queues import QueueState, Work, WorkState, read_queues

PERMISSION: Final = "chat.view_periodicjob"
TITLES: Final = {
    "answers": _("Answers"), "speech": _("Speech"), "tools": _("Tool servers and search, as pages ask for them"),
    "files": _("Files"), "moderation": _("Moderation"), "maintenance": _("Maintenance"),
}  # fmt: skip
WORKS: Final[Mapping[Work, Any]] = {
    "answers": _("Answers"), "recordings": _("Recordings"), "reading": _("Files to read"),
    "recognition": _("Text to recognise in pictures"), "vectors": _("Files to make vectors of"),
    "imports": _("Imports"), "exports": _("Exports of people’s data"), "lists": _("Exports of lists"),
    "judging": _("Texts that wait for a judge"), "webhooks": _("Webhook deliveries that are due"),
}  # fmt: skip


@require_safe
def show_queues(request: HttpRequest) -> HttpResponseBase:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    queues, links = read_queues(), Links(request)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("Queues"),
        "wrong": str(TOO_SLOW) if queues is None else "",
        "queues": [_queue(one, _addresses(links)) for one in queues or []],
        "periodic": links.list("chat", "periodicjob"),
    }
    return TemplateResponse(request, "admin/queues.html", context)


def _addresses(links: Links) -> Mapping[Work, tuple[str, str]]:
    """What lists what waits, and what is in progress; empty: no list shows that."""
    return {
        "answers": (links.runs(status__exact="queued"), links.runs(status__exact="running")),
        "recordings": ("", links.list("chat", "recording", status__exact="listening")),
        "webhooks": (links.list("chat", "webhookdelivery", state__exact="pending"), ""),
    }


def _queue(one: QueueState, addresses: Mapping[Work, tuple[str, str]]) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "title": TITLES.get(one.kind, one.kind),
        "jobs": gettext("unknown") if one.jobs is None else number(one.jobs),
        "workers": one.workers,
        "unserved": one.workers is not None and not one.workers,
        "works": [_work(name, state, addresses.get(name, ("", ""))) for name, state in one.works.items()],
    }


def _work(name: Work, state: WorkState, addresses: tuple[str, str]) -> dict[str, Any]:
    waiting, running = addresses
    return {
        "title": WORKS[name],
        "waiting": number(state.waiting),
        "waiting_href": waiting if state.waiting else "",
        "oldest": NOTHING if state.oldest is None else seconds(max(state.oldest, 0.0)),
        "running": NOTHING if state.running is None else number(state.running),
        "running_href": running if state.running else "",
    }
