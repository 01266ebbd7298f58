"""What the pages of a user's own presets, prompts and collections have in common. Another's is not found (404)."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.auth.requests import user_of
from chat.catalog.own_items import store
from chat.catalog.screened_items import screen_item
from chat.models import Collection, Preset, Prompt
from chat.protocol.errors import Invalid, Moderated, NotFound
from chat.views.appeals import refusal_of
from chat.views.library_forms import OwnForm

Own = TypeVar("Own", Preset, Prompt, Collection)


def find_own(request: HttpRequest, kind: type[Own], id_: uuid.UUID) -> Own:
    """The user's own preset, prompt or collection. Raises `NotFound`."""
    row = kind.objects.filter(owner=user_of(request), pk=id_).first()
    if row is None:
        raise NotFound
    return row


def edit_own(request: HttpRequest, form: OwnForm, template: str, then: str, detail: str = "") -> HttpResponse:
    """Shows the form; a valid one is stored, and leads to the page `then`, or to the row's own page `detail`."""
    new = form.instance._state.adding  # noqa: SLF001  # Django documents it
    if request.method == "POST" and form.is_valid():
        try:
            screen_item(form.instance)
            with transaction.atomic():
                store(form.instance)
                for name in ("groups", "collections"):
                    if name in form.cleaned_data:
                        getattr(form.instance, name).set(form.cleaned_data[name])
        except Invalid as error:
            form.add_error(None, error.message)
        except Moderated as error:
            form.add_error(None, refusal_of(error))
        else:
            messages.success(request, _("“%(name)s” has been saved.") % {"name": form.instance.name})
            return redirect(detail, form.instance.pk) if detail else redirect(then)
    context: dict[str, Any] = {"form": form, "new": new, "back": then}
    return render(request, template, context, status=200)


def delete_own(request: HttpRequest, row: Preset | Prompt, question: str, then: str) -> HttpResponse:
    """Asks (GET), then deletes (POST)."""
    if request.method == "POST":
        row.delete()
        messages.success(request, _("“%(name)s” has been deleted.") % {"name": row})
        return redirect(then)
    return render(request, "chat/library/delete.html", {"row": row, "question": question, "back": then})


def duplicated(request: HttpRequest, copy: Preset | Prompt, edit: str) -> HttpResponse:
    """Leads to the page where a copy is edited."""
    messages.success(request, _("“%(name)s” has been created.") % {"name": copy})
    return redirect(edit, copy.pk)


def refused(request: HttpRequest, error: Invalid | Moderated, then: str) -> HttpResponse:
    """Leads back to the list, with what was wrong."""
    messages.error(request, error.message)
    return redirect(then)
