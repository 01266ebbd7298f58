"""Which collections of files answers are looked up in, as JSON: what the page's sheet shows, and their choice."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Count, Exists
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.catalog.presets import usable_presets
from chat.conversations.collections import change_collections, describe_collections, read_collections
from chat.files.collections import usable_collections
from chat.models import Collection, Conversation, Folder
from chat.views.decorators import command, for_members


def read_or_change(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """GET: the collections, for a member. POST `collections`: a JSON list of the ids of those that are chosen."""
    return (change if request.method == "POST" else read)(request, conversation_id)


@require_safe
@for_members
def read(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    return JsonResponse(read_collections(user_of(request).pk, conversation_id))


@command
def change(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    return change_collections(user_of(request).pk, conversation_id, request.POST.get("collections", ""))


@require_safe
@for_members
def read_defaults(request: HttpRequest) -> HttpResponse:
    """The collections of a new conversation, also with the `preset` and the `folder`, where the user has these."""
    user = user_of(request)
    chosen: set[uuid.UUID] = set()
    if (preset_id := _id_of(request, "preset")) is not None:
        presets = usable_presets(user.pk).filter(pk=preset_id)
        chosen |= set(Collection.objects.filter(presets__in=presets).values_list("pk", flat=True))
    if (folder_id := _id_of(request, "folder")) is not None:
        folders = Folder.objects.filter(user=user, pk=folder_id)
        chosen |= set(Collection.objects.filter(folders__in=folders).values_list("pk", flat=True))
    return JsonResponse(describe_collections(user.pk, chosen))


def _id_of(request: HttpRequest, name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.GET.get(name, ""))
    except ValueError:
        return None


def collections_shown(user_id: uuid.UUID, conversation: Conversation | None) -> dict[str, Any]:
    """What a page says of collections before its sheet is opened: whether there are any, and how many are chosen."""
    usable = usable_collections(user_id)
    if conversation is None:
        return {"any": usable.exists(), "chosen": 0}
    rows = Conversation.objects.filter(pk=conversation.pk).annotate(chosen=Count("collections"), usable=Exists(usable))
    [(chosen, any_usable)] = rows.order_by().values_list("chosen", "usable")  # in one query: it is on every page
    return {"any": bool(chosen) or any_usable, "chosen": chosen}
