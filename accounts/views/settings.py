"""The settings page: name and sessions of the user."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.auth.devices import describe_device
from accounts.auth.requests import AuthenticatedRequest
from accounts.auth.revocation import end_session
from accounts.auth.sessions import live_sessions
from accounts.lib.names import shown_name
from accounts.models import Session, User

NameCheck = Callable[[uuid.UUID, str], str]
_links: dict[str, str] = {}  # URL names of other apps' pages, by their name in the template


def register_settings_link(name: str, view: str) -> None:
    """Lets the settings page link to another app's page: `links.<name>` in the template is the URL of `view`."""
    _links[name] = view


_name_checks: list[NameCheck] = []


def register_name_check(check: NameCheck) -> None:
    """Lets another app change the name that a user (by id) gives themselves, or refuse it by a `ValidationError`."""
    _name_checks.append(check)


class NameForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    class Meta:
        model = User
        fields = ("name",)
        labels = {"name": gettext_lazy("Name")}  # noqa: RUF012  # Django reads it once
        help_texts = {  # noqa: RUF012  # as above
            "name": gettext_lazy("Shown to other members of a conversation. If empty, they see part of your email.")
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name and not shown_name(name):
            raise forms.ValidationError(_("Enter a name that can be seen."))
        name = shown_name(name)
        for check in _name_checks:
            name = check(self.instance.pk, name)
        return name


@login_required
@require_http_methods(["GET", "POST"])
def edit_settings(request: AuthenticatedRequest) -> HttpResponse:
    """The user's name and sessions, with links to the other settings."""
    form = NameForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Your name has been saved."))
        return redirect("account_settings")
    live = live_sessions().filter(user=request.user).order_by("-last_seen_at")
    rows = [
        {"session": row, "device": describe_device(row.user_agent), "current": row.pk == request.session.session_key}
        for row in live.defer("session_data")
    ]
    links = {name: reverse(view) for name, view in _links.items()}
    return render(
        request,
        "account/settings.html",
        {"form": form, "sessions": rows, "links": links, "languages": settings.LANGUAGES},
    )


@login_required
@require_POST
def end_one_session(request: HttpRequest, hash_: str) -> HttpResponse:
    """Ends one of the user's sessions. 404 for other sessions."""
    row = Session.objects.filter(user=request.user.pk, hash=hash_).only("session_key").first()
    if row is None:
        raise Http404
    end_session(row.session_key)
    messages.success(request, _("The session has been ended."))
    return redirect("account_settings")


@login_required
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Ends all sessions of the user but the current one."""
    others = Session.objects.filter(user=request.user.pk).exclude(pk=request.session.session_key)
    for key in others.values_list("session_key", flat=True):
        end_session(key)
    messages.success(request, _("All other sessions have been ended."))
    return redirect("account_settings")
