"""Actions on several users at once, for the admin's list of users. Each user is checked and recorded one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from accounts import audit
from accounts.admin.account_state import approve, switch
from accounts.admin.user_forms import ReasonForm
from accounts.auth.revocation import end_all_sessions
from accounts.models import User
from accounts.quotas import top_ups
from accounts.quotas.balance import user_balances


class UserListActions:
    """For `UserAdmin`."""

    admin_site: Any
    opts: Any

    def _is_for(self, request: HttpRequest, user: Model | None) -> bool:
        raise NotImplementedError

    @action(description=_("Invite a user"), icon="mail", permissions=["invite"])  # type: ignore[untyped-decorator]  # unfold's
    def invite(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:accounts_invitation_add")

    @action(description=_("Raise quotas…"), icon="trending_up", permissions=["top_up"])  # type: ignore[untyped-decorator]  # unfold's
    def raise_quotas_of_list(self, request: HttpRequest) -> HttpResponse:
        """For everybody whom the list's filters leave, which the page of the list has in its address."""
        _address, _mark, query = request.META.get("HTTP_REFERER", "").partition("?")
        return redirect(f"{reverse('admin:accounts_user_raise')}?{query}")

    @admin.action(description=_("Approve accounts that are awaiting approval"), permissions=["approve"])
    def approve_accounts(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._each(request, queryset, lambda user: approve(request, user))

    @admin.action(description=_("Disable (ends all sessions)"), permissions=["disable"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """Asks why first."""
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._ask_why(request, queryset, form)
        reason = form.cleaned_data["reason"]
        self._each(request, queryset, lambda user: switch(request, user, on=False, reason=reason))
        return None

    def _ask_why(self, request: HttpRequest, queryset: QuerySet[User], form: ReasonForm) -> HttpResponse:
        shown = {"title": gettext("Disable accounts"), "button": gettext("Disable"), "action": "switch_off"}
        context = {**self.admin_site.each_context(request), **shown, "opts": self.opts, "form": form}
        context["selected"] = list(queryset)
        return TemplateResponse(request, "admin/accounts/user/reason.html", context)

    @admin.action(description=_("Enable"), permissions=["disable"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._each(request, queryset, lambda user: switch(request, user, on=True))

    @admin.action(description=_("End all sessions"), permissions=["end_sessions"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        def end(user: User) -> None:
            audit.record(request, "end_sessions", user)
            end_all_sessions(user)

        self._each(request, queryset, end)

    @admin.action(description=_("Reset quotas of the current period"), permissions=["top_up"])
    def reset_periods(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        def reset(user: User) -> None:
            audit.record(request, "reset", user)
            for balance in user_balances(user.pk):
                if not balance.shared_by:  # a shared quota belongs to the whole group
                    top_ups.reset(user.pk, balance.quota_id, by=request.user.pk)

        self._each(request, queryset, reset)

    def _each(self, request: HttpRequest, queryset: QuerySet[User], do: Callable[[User], str | None]) -> None:
        """Calls `do` for users that this member of staff may manage, except themselves. It returns an error or None."""
        users = list(queryset)
        done = 0
        for user in users:
            if user.pk == request.user.pk or not self._is_for(request, user):
                wrong: str | None = gettext("You don't have permission to change %(user)s.") % {"user": user}
            else:
                wrong = do(user)
            if wrong:
                messages.error(request, wrong)
            done += not wrong
        said = ngettext(
            "%(done)d of %(count)d account was changed.", "%(done)d of %(count)d accounts were changed.", len(users)
        )
        messages.success(request, said % {"done": done, "count": len(users)})
