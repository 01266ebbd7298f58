"""The commands on many conversations of a user's list, and on the folders and tags that it is kept in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from accounts.lib.texts import gettext_noop
from chat.conversations import folders, organising, tags, trashing
from chat.eventlog.user_events import notify_list_changed
from chat.protocol.errors import ChatError, Invalid
from chat.views.decorators import command, for_members

UNCONFIRMED: Final = gettext_noop("Type “delete all” to confirm.")
CONFIRMED: Final = "delete all"
_FOLDER_FIELDS: Final = ("name", "instructions", "model", "collections")
# What is wrong with the id in a field.
NO_IDS: Final = {
    "folder": gettext_noop("This is not a folder."),
    "parent": gettext_noop("This is not a folder."),
    "before": gettext_noop("This is not a folder."),
    "tag": gettext_noop("This is not a tag."),
}
Action = Callable[[HttpRequest, uuid.UUID, list[uuid.UUID]], dict[str, Any]]

ACTIONS: Final[dict[str, Action]] = {
    "archive": lambda _request, user, ids: organising.archive(user, ids, archived=True),
    "unarchive": lambda _request, user, ids: organising.archive(user, ids, archived=False),
    "move": lambda request, user, ids: organising.move(user, ids, _id(request, "folder")),
    "tag": lambda request, user, ids: organising.tag(
        user, ids, name=request.POST.get("name", ""), tag_id=_id(request, "tag")
    ),
    "untag": lambda request, user, ids: organising.tag(user, ids, tag_id=_wanted_tag(request), on=False),
    "read": lambda _request, user, ids: organising.mark(user, ids, unread=False),
    "unread": lambda _request, user, ids: organising.mark(user, ids, unread=True),
    "delete": lambda _request, user, ids: trashing.delete_many(user, ids),
    "restore": lambda _request, user, ids: trashing.restore_many(user, ids),
}


@command
def organise(request: HttpRequest) -> dict[str, Any]:
    """POST `action` and `ids`, separated by commas; `folder` (empty: back into the list), `tag` or `name` of a tag.

    The result says how many were `done`, and in `undo` what commands take it back.
    """
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        raise Invalid(_("There is no such action."))
    return action(request, user_of(request).pk, ids_of(request))


@command
def delete_all(request: HttpRequest) -> dict[str, Any]:
    """POST `confirm` with the words of the dialog; `at` of the first result while conversations are `left`."""
    if request.POST.get("confirm", "").strip().casefold() != CONFIRMED:
        raise Invalid(UNCONFIRMED)
    return trashing.delete_all(user_of(request).pk, request.POST.get("at", ""))


@command
def undo_delete_all(request: HttpRequest) -> dict[str, Any]:
    """POST `at`; again while some are `left`."""
    return trashing.restore_many(user_of(request).pk, at=request.POST.get("at", "") or "-")


@require_safe
@for_members
def read_order(request: HttpRequest) -> HttpResponse:
    """The user's `folders` and `tags` as JSON, and how they keep the conversations `ids`, if there are any."""
    user_id = user_of(request).pk
    found: dict[str, Any] = {
        "folders": [one.as_dict() for one in folders.folder_entries(user_id)],
        "tags": tags.tags_of(user_id),
    }
    if request.GET.get("ids"):
        try:
            found["kept"] = organising.kept_as(user_id, ids_of(request))
        except ChatError:
            found["kept"] = None  # a moment ago they were there
    return JsonResponse(found)


@command
def create_folder(request: HttpRequest) -> dict[str, Any]:
    """POST `name`, and perhaps `parent`, `instructions`, `model`, `collections` (a JSON list of ids)."""
    folder = folders.create_folder(user_of(request).pk, _fields(request), _id(request, "parent"))
    return _changed(request, {"id": str(folder.pk), "name": folder.name})


@command
def change_folder(request: HttpRequest, folder_id: uuid.UUID) -> dict[str, Any]:
    """POST those of `name`, `instructions`, `model` and `collections` that are to change."""
    folder = folders.change_folder(user_of(request).pk, folder_id, _fields(request))
    return _changed(request, {"id": str(folder.pk), "name": folder.name})


@command
def move_folder(request: HttpRequest, folder_id: uuid.UUID) -> dict[str, Any]:
    """POST `step` (`up`, `down`), or `parent` (empty: to the top) and perhaps `before`, one of the folders in it."""
    user_id, step = user_of(request).pk, request.POST.get("step", "")
    if step:
        return _changed(request, {"moved": folders.step_folder(user_id, folder_id, down=step == "down")})
    folders.move_folder(user_id, folder_id, _id(request, "parent"), _id(request, "before"))
    return _changed(request, {"moved": True})


@command
def delete_folder(request: HttpRequest, folder_id: uuid.UUID) -> dict[str, Any]:
    return _changed(request, {"back": folders.delete_folder(user_of(request).pk, folder_id)})


@command
def rename_tag(request: HttpRequest, tag_id: uuid.UUID) -> dict[str, Any]:
    """POST `name`."""
    return _changed(request, {"name": tags.rename_tag(user_of(request).pk, tag_id, request.POST.get("name", "")).name})


@command
def delete_tag(request: HttpRequest, tag_id: uuid.UUID) -> dict[str, Any]:
    tags.delete_tag(user_of(request).pk, tag_id)
    return _changed(request, {})


def ids_of(request: HttpRequest) -> list[uuid.UUID]:
    """The conversations that a request names. Raises `Invalid`."""
    named = request.POST.get("ids") or request.GET.get("ids") or ""
    try:
        return list(dict.fromkeys(uuid.UUID(one) for one in named.split(",") if one.strip()))
    except ValueError:
        raise Invalid(_("These are not conversations.")) from None


def _fields(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST[name] for name in _FOLDER_FIELDS if name in request.POST}


def _id(request: HttpRequest, name: str) -> uuid.UUID | None:
    """The id in the field `name`, one of `NO_IDS`. Raises `Invalid`."""
    text = request.POST.get(name, "")
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise Invalid(_(NO_IDS[name])) from None


def _wanted_tag(request: HttpRequest) -> uuid.UUID:
    found = _id(request, "tag")
    if found is None:
        raise Invalid(_("Choose a tag."))
    return found


def _changed(request: HttpRequest, result: dict[str, Any]) -> dict[str, Any]:
    async_to_sync(notify_list_changed)(user_of(request).pk)
    return result
