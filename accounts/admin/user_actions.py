"""Actions of staff on one user. Each is a POST that needs a permission and `roles.may_manage`, and is audited first."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts import audit, roles, suspension, view_as
from accounts.admin.account_state import approve, switch
from accounts.admin.user_data_actions import UserDataActions, back_to
from accounts.admin.user_forms import QuotaTopUpForm, ReasonForm, SuspendForm
from accounts.admin.user_merging import UserMerging
from accounts.admin.user_page import quota_bars
from accounts.auth.adapter import AccountAdapter, make_reset_key, reset_link
from accounts.auth.proof import check_recent_proof
from accounts.auth.requests import user_of
from accounts.auth.revocation import end_all_sessions, end_session
from accounts.auth.second_factor.reset import reset_second_factor
from accounts.models import Quota, Session, User
from accounts.quotas import top_ups
from accounts.quotas.wording import plain_number


class UserActions(UserDataActions, UserMerging):
    """Pages below a user's admin page, for `UserAdmin`."""

    def get_urls(self) -> list[URLPattern]:
        views = {
            "top-up": self.top_up,
            "reset/<int:quota>": self.reset_period,
            "switch/<str:to>": self.switch,
            "end-sessions": self.end_all,
            "end-session/<str:hash_>": self.end_one,
            "export": self.export,
            "erase": self.erase,
            "keep": self.keep,
            "merge": self.merge,
            "approve": self.approve,
            "reset-link": self.create_reset_link,
            "suspend": self.suspend,
            "lift-suspension": self.lift_suspension,
            "reset-second-factor": self.reset_second_factor,
            "view-as": self.view_as,
        }
        named = [
            path(
                f"<uuid:id_>/{route}/",
                self.admin_site.admin_view(view),
                name=f"accounts_user_{route.partition('/')[0].replace('-', '_')}",
            )
            for route, view in views.items()
        ]
        return [*named, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's, which this is mixed into

    def allowed(self, request: HttpRequest, user: User) -> dict[str, bool]:
        """Which actions the member of staff may do on this user, by permission."""
        viewer = user_of(request)
        names = (
            "top_up", "disable_user", "end_sessions", "export_user", "erase_user", "merge_user", "reset_second_factor",
        )  # fmt: skip
        may = roles.may_manage(viewer, user)
        found = {name: may and viewer.has_perm(f"accounts.{name}") for name in names}
        found["approve_user"] = may and viewer.has_perm("accounts.approve_user") and user.awaits_approval
        found["change_user"] = may and viewer.has_perm("accounts.change_user")  # who may set a password
        found["view_as_user"] = view_as.may_view_as(viewer, user)
        if viewer.pk == user.pk:  # staff cannot lock themselves out, or top up their own quotas
            found |= dict.fromkeys(("disable_user", "erase_user", "merge_user", "reset_second_factor"), False)
            found["top_up"] = found["top_up"] and viewer.is_superuser
        return found

    def _managed_user(self, request: HttpRequest, id_: uuid.UUID, permission: str) -> User:
        """The user, if the action is allowed. 404 for an unknown user, 403 if it is not allowed."""
        if not request.user.has_perm(f"accounts.{permission}"):
            raise PermissionDenied  # before the response reveals whether the user exists
        user: User = get_object_or_404(User, pk=id_)
        if not self.allowed(request, user)[permission]:
            raise PermissionDenied
        return user

    def _page(self, request: HttpRequest, template: str, user: User, **context: Any) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "original": user, "person": user}
        return TemplateResponse(request, f"admin/accounts/user/{template}.html", {**shared, **context})

    def top_up(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        user = self._managed_user(request, id_, "top_up")
        form = QuotaTopUpForm(user, request.POST or None)
        if request.method != "POST" or not form.is_valid():
            bars = quota_bars(user)
            return self._page(
                request, "top_up", user, form=form, quotas=bars, title=gettext("Top up %(user)s") % {"user": user}
            )
        chosen = form.cleaned_data
        audit.record(request, "top_up", user, details=plain_number(chosen["amount"]), reason=chosen["reason"])
        by, reason = user_of(request).pk, chosen["reason"]
        try:
            top_ups.top_up(user.pk, chosen["quota"], chosen["amount"], by=by, reason=reason)
        except Quota.DoesNotExist:
            messages.error(request, gettext("This quota no longer applies to this user."))
        else:
            added = {"amount": plain_number(chosen["amount"]), "user": user}
            messages.success(request, gettext("Added %(amount)s for %(user)s.") % added)
        return back_to(user)

    def reset_period(self, request: HttpRequest, id_: uuid.UUID, quota: int) -> HttpResponse:
        """Refunds what was used in the current period."""
        user = self._managed_user(request, id_, "top_up")
        form = ReasonForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            title = gettext("Reset the usage of %(user)s") % {"user": user}
            return self._page(request, "reason", user, form=form, title=title, button=gettext("Reset"))
        audit.record(request, "reset", user, reason=form.cleaned_data["reason"])
        try:
            made = top_ups.reset(user.pk, quota, by=user_of(request).pk)
        except Quota.DoesNotExist:
            messages.error(request, gettext("This quota no longer applies to this user."))
        else:
            if made:
                said = gettext("Usage reset by %(amount)s.") % {"amount": plain_number(made.amount)}
            else:
                said = gettext("Nothing was used, so nothing changed.")
            messages.success(request, said)
        return back_to(user)

    def switch(self, request: HttpRequest, id_: uuid.UUID, to: str) -> HttpResponse:
        """Enables an account by POST, or asks why it is to be disabled."""
        user = self._managed_user(request, id_, "disable_user")
        on = to == "on"
        if on and request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form = ReasonForm(request.POST or None)
        if not on and (request.method != "POST" or not form.is_valid()):
            title = gettext("Disable %(user)s") % {"user": user}
            return self._page(request, "reason", user, form=form, title=title, button=gettext("Disable"))
        if wrong := switch(request, user, on=on, reason="" if on else form.cleaned_data["reason"]):
            messages.error(request, wrong)
        else:
            said = (
                gettext("%(user)s can log in again.") if on else gettext("%(user)s has been disabled and logged out.")
            )
            messages.success(request, said % {"user": user})
        return back_to(user)

    @method_decorator(require_POST)
    def end_all(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        user = self._managed_user(request, id_, "end_sessions")
        audit.record(request, "end_sessions", user)
        ended = end_all_sessions(user)
        said = ngettext("%(count)d session was ended.", "%(count)d sessions were ended.", ended)
        messages.success(request, said % {"count": ended})
        return back_to(user)

    @method_decorator(require_POST)
    def end_one(self, request: HttpRequest, id_: uuid.UUID, hash_: str) -> HttpResponse:
        user = self._managed_user(request, id_, "end_sessions")
        session = Session.objects.filter(user=user, hash=hash_).first()
        if session is None:
            messages.warning(request, gettext("The session had already ended."))
        else:
            audit.record(request, "end_session", user)
            end_session(session.session_key)
            messages.success(request, gettext("The session has been ended."))
        return back_to(user)

    @method_decorator(require_POST)
    def approve(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        user = self._managed_user(request, id_, "approve_user")
        if wrong := approve(request, user):
            messages.error(request, wrong)
        else:
            messages.success(request, gettext("%(user)s can log in now.") % {"user": user})
        return back_to(user)

    @method_decorator(require_POST)
    @method_decorator(never_cache)
    def create_reset_link(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Shows a link to choose a new password, once: it is stored nowhere."""
        user = self._managed_user(request, id_, "change_user")
        if not user.is_active:
            messages.error(request, gettext("%(user)s cannot log in at the moment.") % {"user": user})
            return back_to(user)
        audit.record(request, "reset_link", user)
        link = reset_link(request, make_reset_key(user))
        hours = settings.PASSWORD_RESET_TIMEOUT // 3600
        return self._page(
            request,
            "reset_link",
            user,
            link=link,
            hours=hours,
            title=gettext("Reset link for %(user)s") % {"user": user},
        )

    def suspend(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Disables writing for a time, which ends by itself."""
        user = self._managed_user(request, id_, "disable_user")
        form = SuspendForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            title = gettext("Suspend %(user)s for a time") % {"user": user}
            return self._page(request, "reason", user, form=form, title=title, button=gettext("Suspend"))
        until, reason = form.until(), form.cleaned_data["reason"]
        changes = {"suspended_until": (user.suspended_until or "", until)}
        shown = {name: (str(before), str(after)) for name, (before, after) in changes.items()}
        audit.record(request, "suspend", user, reason=reason, changes=shown)
        suspension.suspend(user, until, reason)
        messages.success(request, gettext("%(user)s can read, but not write, until then.") % {"user": user})
        return back_to(user)

    @method_decorator(require_POST)
    def lift_suspension(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        user = self._managed_user(request, id_, "disable_user")
        audit.record(request, "lift_suspension", user)
        lifted = suspension.lift(user)
        said = gettext("%(user)s can write again.") if lifted else gettext("The account of %(user)s is not suspended.")
        messages.info(request, said % {"user": user})
        return back_to(user)

    @method_decorator(require_POST)
    def reset_second_factor(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Asks for a proof of who the member of staff is first: a page left open must not be enough."""
        user = self._managed_user(request, id_, "reset_second_factor")
        check_recent_proof(request)
        audit.record(request, "reset_second_factor", user)
        if reset_second_factor(user):
            AccountAdapter(request).mail_owner("account/email/second_factor_reset", user)
            messages.success(request, gettext("The second factor of %(user)s has been reset.") % {"user": user})
        else:
            messages.info(request, gettext("%(user)s has no second factor.") % {"user": user})
        return back_to(user)

    def view_as(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Asks why, and then shows the pages as the user sees them (`accounts.view_as`)."""
        user = self._managed_user(request, id_, "view_as_user")
        form = ReasonForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            title = gettext("View pages as %(user)s") % {"user": user}
            return self._page(request, "reason", user, form=form, title=title, button=gettext("View"))
        check_recent_proof(request)
        audit.record(request, "view_as", user, reason=form.cleaned_data["reason"])
        view_as.begin(request, user)
        return redirect("/")
