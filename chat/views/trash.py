"""The page of a user's deleted conversations: how long they are kept, restoring them, and deleting them for good."""

from __future__ import annotations

import uuid
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts.auth.requests import user_of
from accounts.lib.texts import gettext_noop
from chat.conversations import organising, trashing
from chat.protocol.errors import Forbidden, Invalid, NotFound
from chat.retention import trash
from chat.runs.clock import database_time
from chat.views.decorators import for_members, zone_of
from chat.views.organising import ids_of

GONE: Final = gettext_noop("It is no longer in the trash.")


@require_safe
@for_members
def show_trash(request: HttpRequest) -> HttpResponse:
    """A page of the trash, what was deleted last first; `after` goes on."""
    user_id = user_of(request).pk
    try:
        page = trash.read_trash(user_id, database_time(), after=request.GET.get("after", ""))
    except Invalid:
        raise Http404 from None
    context = {"page": page, "may_delete": trash.may_delete_now(), "zone": zone_of(request)}
    return render(request, "chat/trash.html", context)


@require_http_methods(["POST"])
@for_members
def restore(request: HttpRequest) -> HttpResponse:
    """POST `ids`, or `all`: everything in the trash."""
    user_id, done = user_of(request).pk, 0
    try:
        if request.POST.get("all"):
            while some := list(trash.trash_of(user_id).values_list("pk", flat=True)[: organising.AT_ONCE]):
                done += trashing.restore_many(user_id, some)["done"]
        else:
            done = trashing.restore_many(user_id, ids_of(request))["done"]
    except (NotFound, Invalid):
        messages.info(request, _(GONE))
        return redirect("chat:trash")
    if done:
        said = ngettext("%(n)d conversation is back in your list.", "%(n)d conversations are back in your list.", done)
        messages.success(request, said % {"n": done})
    return redirect("chat:trash")


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def delete_now(request: HttpRequest) -> HttpResponse:
    """Asks whether to delete `ids`, or with `all` everything, for good; POST does it. 403 if the site keeps them."""
    if not trash.may_delete_now():
        raise Forbidden(trash.NOT_ALLOWED)
    user_id = user_of(request).pk
    every = bool(request.POST.get("all") or request.GET.get("all"))
    try:
        ids = None if every else ids_of(request)
    except Invalid:
        raise Http404 from None
    if request.method != "POST":
        return _confirm(request, user_id, ids)
    try:
        done, kept = _delete(user_id, ids)
    except NotFound:
        messages.info(request, _(GONE))
    except Invalid as error:
        messages.error(request, error.message)
    else:
        said = ngettext("%(n)d conversation was deleted.", "%(n)d conversations were deleted.", done) % {"n": done}
        messages.success(request, said)
        if kept:
            more = ngettext(
                "%(n)d stays: an answer is in progress in it, or a reviewer looks at it.",
                "%(n)d stay: an answer is in progress in them, or a reviewer looks at them.",
                kept,
            )
            messages.info(request, more % {"n": kept})
    return redirect("chat:trash")


def _delete(user_id: uuid.UUID, ids: list[uuid.UUID] | None) -> tuple[int, int]:
    """How many were deleted, and how many stay."""
    outcome = trash.delete_now(user_id, ids)
    done = outcome["done"]
    while ids is None and outcome["left"] and not outcome["kept"]:
        try:
            outcome = trash.delete_now(user_id, None)
        except (Invalid, NotFound):
            break
        done += outcome["done"]
    return done, outcome["left"]


def _confirm(request: HttpRequest, user_id: uuid.UUID, ids: list[uuid.UUID] | None) -> HttpResponse:
    rows = trash.trash_of(user_id)
    if ids is not None:
        rows = rows.filter(pk__in=ids)
    count = rows.count()
    if not count:
        messages.info(request, _(GONE))
        return redirect("chat:trash")
    title = rows.values_list("title", flat=True)[0] if count == 1 else ""
    named = "" if ids is None else ",".join(map(str, ids))
    return render(request, "chat/trash_delete.html", {"count": count, "title": title, "ids": named})
