"""The pages of a user's own presets, and what the conversation page asks about one."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.auth.requests import user_of
from chat.catalog.access import models_of
from chat.catalog.own_presets import duplicate_preset
from chat.catalog.presets import usable_presets
from chat.models import Preset
from chat.models.presets import MAX_OWN_PRESETS
from chat.protocol.errors import Invalid, NotFound
from chat.views.decorators import for_members
from chat.views.library import delete_own, duplicated, edit_own, find_own, refused
from chat.views.library_forms import PresetForm

LIST = "chat:presets"
FORM = "chat/library/preset_form.html"


@require_safe
@for_members
def list_presets(request: HttpRequest) -> HttpResponse:
    """The user's own presets, and those of others that they may choose. What these tell the model is not shown."""
    user = user_of(request)
    own = Preset.objects.filter(owner=user).prefetch_related("groups").order_by("name")
    others = usable_presets(user.pk).exclude(owner=user).select_related("owner").order_by("owner", "position", "name")
    rows = list(others.defer("system_prompt", "starters"))
    context = {
        "own": own,
        "shared": [row for row in rows if row.owner_id is not None],
        "staffs": [row for row in rows if row.owner_id is None],
        "labels": {one["id"]: one["label"] for one in models_of(user.pk)},
        "limit": MAX_OWN_PRESETS,
    }
    return render(request, "chat/library/presets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def create_preset(request: HttpRequest) -> HttpResponse:
    return edit_own(request, PresetForm(user_of(request), request.POST or None), FORM, LIST)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def edit_preset(request: HttpRequest, preset_id: uuid.UUID) -> HttpResponse:
    preset = find_own(request, Preset, preset_id)
    return edit_own(request, PresetForm(user_of(request), request.POST or None, instance=preset), FORM, LIST)


@require_POST
@for_members
def copy_preset(request: HttpRequest, preset_id: uuid.UUID) -> HttpResponse:
    try:
        copy = duplicate_preset(user_of(request), preset_id)
    except Invalid as error:
        return refused(request, error, LIST)
    return duplicated(request, copy, "chat:preset")


@require_POST
@for_members
def enable_preset(request: HttpRequest, preset_id: uuid.UUID) -> HttpResponse:
    """POST `enabled=1` or `enabled=0`. What staff disabled stays so."""
    preset = find_own(request, Preset, preset_id)
    preset.enabled = request.POST.get("enabled") == "1"
    preset.save(update_fields=["enabled"])
    said = _("“%(name)s” is enabled.") if preset.enabled else _("“%(name)s” is disabled.")
    messages.success(request, said % {"name": preset})
    return redirect(LIST)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def delete_preset(request: HttpRequest, preset_id: uuid.UUID) -> HttpResponse:
    question = _("Conversations that started with it stay as they are. This cannot be undone.")
    return delete_own(request, find_own(request, Preset, preset_id), question, LIST)


@require_safe
@for_members
def show_starters(request: HttpRequest, preset_id: uuid.UUID) -> HttpResponse:
    """The starters of a preset that the user may choose, as JSON."""
    starters = usable_presets(user_of(request).pk).filter(pk=preset_id).values_list("starters", flat=True).first()
    if starters is None:
        raise NotFound
    return JsonResponse({"starters": starters})
