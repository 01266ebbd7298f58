"""The pages of one's own collections ("Knowledge"): make, rename, share, add and remove files, delete; and what others
share.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.auth.requests import user_of
from accounts.lib.formatting import grouped
from chat.conversations import own_collections
from chat.conversations.membership import check_may_write
from chat.files.collections import Readiness, readiness_of, usable_collections
from chat.models import Collection
from chat.models.collections import MAX_COLLECTION_FILES
from chat.protocol.errors import Invalid, NotFound
from chat.views.decorators import command, for_members
from chat.views.library import edit_own, find_own
from chat.views.library_forms import CollectionForm
from chat.views.plan_limits import plan_limits

LIST = "chat:collections"
PAGE = "chat:collection"
FORM = "chat/library/collection_form.html"


@require_safe
@for_members
def list_collections(request: HttpRequest) -> HttpResponse:
    """The user's own collections, and those that others share with them."""
    user = user_of(request)
    rows = usable_collections(user.pk).select_related("owner").prefetch_related("groups").order_by("name", "pk")
    readiness = readiness_of([row.pk for row in rows])
    context: dict[str, list[dict[str, Any]]] = {"own": [], "shared": []}
    for row in rows:
        whose = "own" if row.owner_id == user.pk else "shared"
        context[whose].append({"row": row, "readiness": readiness.get(row.pk, Readiness())})
    return render(request, "chat/library/collections.html", context)


@require_safe
@for_members
def show_collection(request: HttpRequest, collection_id: uuid.UUID) -> HttpResponse:
    """A collection with its files: its owner's, or one that is shared. `page`: which hundred of its files."""
    user = user_of(request)
    collection = own_collections.usable_collection(user.pk, collection_id)
    asked = request.GET.get("page", "")
    page = int(asked) if asked.isdecimal() and 0 < len(asked) < 4 else 1
    context = {
        "collection": collection,
        "own": collection.owner_id == user.pk,
        "shown": own_collections.list_collection_files(collection, max(page, 1)),
        "limit": grouped(MAX_COLLECTION_FILES),
        "root": reverse("chat:new"),
        "may_upload": plan_limits(user).file_bytes > 0,
    }
    return render(request, "chat/library/collection.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def create_collection(request: HttpRequest) -> HttpResponse:
    return edit_own(request, CollectionForm(user_of(request), request.POST or None), FORM, LIST, PAGE)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def edit_collection(request: HttpRequest, collection_id: uuid.UUID) -> HttpResponse:
    collection = find_own(request, Collection, collection_id)
    return edit_own(
        request, CollectionForm(user_of(request), request.POST or None, instance=collection), FORM, LIST, PAGE
    )


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def delete_collection(request: HttpRequest, collection_id: uuid.UUID) -> HttpResponse:
    """Asks (GET), then deletes (POST)."""
    collection = find_own(request, Collection, collection_id)
    if request.method == "POST":
        own_collections.delete_collection(user_of(request).pk, collection_id)
        messages.success(request, _("“%(name)s” has been deleted.") % {"name": collection.name})
        return redirect(LIST)
    question = _("Its files are deleted, too, and answers no longer show passages of them. This cannot be undone.")
    return render(
        request, "chat/library/delete.html", {"row": collection.name, "question": question, "back": LIST}
    )  # fmt: skip


@require_safe
@for_members
def read_state(request: HttpRequest, collection_id: uuid.UUID) -> HttpResponse:
    """How many files it has, and how many of them are ready, as JSON."""
    collection = own_collections.usable_collection(user_of(request).pk, collection_id)
    readiness = readiness_of([collection.pk]).get(collection.pk, Readiness())
    return JsonResponse({**readiness.as_dict(), "pending": readiness.pending})


@command
def add(request: HttpRequest, collection_id: uuid.UUID) -> dict[str, Any]:
    """POST `file`: the id of one of the user's files. `new` is false if the collection has its content already."""
    user_id = user_of(request).pk
    check_may_write(user_id)
    try:
        file_id = uuid.UUID(request.POST.get("file", ""))
    except ValueError:
        raise Invalid(_("Choose a file.")) from None
    file, new = own_collections.add_file(user_id, collection_id, file_id)
    return {"id": str(file.pk), "name": file.name, "new": new}


@require_POST
@for_members
def remove(request: HttpRequest, collection_id: uuid.UUID, file_id: uuid.UUID) -> HttpResponse:
    """Deletes a file of one of the user's collections. One that is gone already is no error."""
    try:
        own_collections.remove_from_collection(user_of(request).pk, collection_id, file_id)
    except NotFound:
        messages.info(request, _("This file was already removed."))
    else:
        messages.success(request, _("The file was removed from the collection and deleted."))
    return redirect("chat:collection", collection_id)
