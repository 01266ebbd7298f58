"""Raising the quotas of everybody whom the filters of the users' list leave, by a share of the limits."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from accounts import audit
from accounts.auth.requests import user_of
from accounts.lib.formatting import grouped
from accounts.models import Quota, User
from accounts.quotas.raising import raise_quotas

MOST_USERS: Final = 20_000


class RaiseForm(forms.Form):
    """How much more, and why."""

    percent = forms.IntegerField(
        label=_("Percent"), min_value=1, max_value=1000, initial=20, widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("Of each limit, added to the current period. Whole numbers are rounded up."),
    )  # fmt: skip
    reason = forms.CharField(
        label=_("Reason"), max_length=200, widget=UnfoldAdminTextInputWidget, help_text=_("Shown with the top-ups.")
    )


class RaiseQuotas:
    """The page below the users' list, for `UserAdmin`. Its address has the list's filters."""

    admin_site: Any
    opts: Any

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.raise_view)
        named = path("raise/", view, name="accounts_user_raise")
        return [named, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's, which this is mixed into

    def raise_view(self, request: HttpRequest) -> HttpResponse:
        """Shows whose quotas are meant and asks how much; POST raises them."""
        if not request.user.has_perms(["accounts.view_user", "accounts.top_up"]):
            raise PermissionDenied
        people = self._people(request)
        form = RaiseForm(request.POST or None)
        if len(people) > MOST_USERS:
            form.add_error(
                None, gettext("These are more than %(most)s users. Filter the list.") % {"most": grouped(MOST_USERS)}
            )
        if request.method == "POST" and form.is_valid():
            self._raise(request, people, form.cleaned_data["percent"], form.cleaned_data["reason"])
            return redirect(f"../?{request.GET.urlencode()}")
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Raise quotas"),
            "opts": self.opts,
            "form": form,
            "count": len(people),
            "group": self._group(request),
            "shared": self._shared(request).count(),
        }
        return TemplateResponse(request, "admin/accounts/user/raise.html", context)

    def _people(self, request: HttpRequest) -> list[uuid.UUID]:
        """Quotas do not apply to staff, and nobody raises their own."""
        changes: Any = self
        rows = changes.get_changelist_instance(request).get_queryset(request)
        found = User.objects.filter(pk__in=rows.order_by().values("pk"), is_staff=False, erase_at=None)
        return list(found.exclude(pk=user_of(request).pk).values_list("pk", flat=True)[: MOST_USERS + 1])

    def _group(self, request: HttpRequest) -> Group | None:
        chosen = request.GET.get("groups__id__exact", "")
        return Group.objects.filter(pk=chosen).first() if chosen.isascii() and chosen.isdigit() else None

    def _shared(self, request: HttpRequest) -> Any:
        return Quota.objects.filter(shared=True, group=self._group(request), group__isnull=False)

    def _raise(self, request: HttpRequest, people: list[uuid.UUID], percent: int, reason: str) -> None:
        group = self._group(request)
        said = f"{percent} % for {len(people)} users: {request.GET.urlencode()}"
        audit.record(request, "raise_quotas", User, details=said, reason=reason, subjects=people)
        groups = [group.pk] if group else []
        done = raise_quotas(people, percent, groups=groups, by=user_of(request).pk, reason=reason)
        said = ngettext(
            "The quotas of %(count)d user were raised.", "The quotas of %(count)d users were raised.", done.users
        )
        messages.success(request, said % {"count": done.users})
        if done.shared:
            shared = ngettext("%(count)d shared quota was raised.", "%(count)d shared quotas were raised.", done.shared)
            messages.success(request, shared % {"count": done.shared})
        if not done.users and not done.shared:
            messages.warning(request, gettext("No quota applies to any of them, so nothing changed."))
