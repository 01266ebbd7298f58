"""What staff do with all data of one user: export, erasure, cancelling it. FOUR_EYES may demand a second person."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from accounts import audit, erasure, four_eyes
from accounts.admin.erasure_report import REPORT
from accounts.admin.pending_acts import asked_sentence
from accounts.admin.user_forms import EraseForm, ReasonForm
from accounts.auth.proof import check_recent_proof
from accounts.auth.requests import user_of
from accounts.lib.streaming import stream_file
from accounts.models import ActKind, User


class UserDataActions:
    """For `UserActions`, which checks permissions and makes pages."""

    admin_site: Any
    opts: Any
    _managed_user: Callable[[HttpRequest, uuid.UUID, str], User]
    _page: Callable[..., HttpResponse]

    @method_decorator(require_POST)
    def export(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponseBase:
        """All data of the user with their messages, which needs a permission of its own, and a second person where
        FOUR_EYES says so.
        """
        user = self._managed_user(request, id_, "export_user")
        kind, by = ActKind.EXPORT_USER, user_of(request)
        if four_eyes.is_needed(kind) and not four_eyes.take_approved(kind, by, user=user):
            form = ReasonForm(request.POST if "reason" in request.POST else None)
            if not form.is_valid():
                title = gettext("Export all data of %(user)s") % {"user": user}
                return self._page(request, "reason", user, form=form, title=title, button=gettext("Ask for approval"))
            return self._ask(request, kind, user, form.cleaned_data["reason"])
        audit.record(request, "export_user", user)
        pieces = erasure.user_data().export(user)
        return stream_file(request, f"{user.email}.json", "application/json", pieces)

    def erase(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        user = self._managed_user(request, id_, "erase_user")
        if user.erase_at is not None:
            return back_to(user)
        form = EraseForm(user, request.POST or None)
        if request.method == "POST" and form.is_valid():
            check_recent_proof(request)
            if four_eyes.is_needed(ActKind.ERASE_USER):
                return self._ask(request, ActKind.ERASE_USER, user, form.cleaned_data["reason"])
            audit.record(request, "erase", user, reason=form.cleaned_data["reason"])
            try:
                erasure.schedule(user)  # the user's page shows when
            except erasure.LastAdministratorError as error:
                messages.error(request, str(error))
            return back_to(user)
        found = erasure.user_data().report(user)
        report = [(text, found[name]) for name, text in REPORT.items() if name in found]
        days = settings.ERASE_GRACE_DAYS
        return self._page(
            request,
            "erase",
            user,
            form=form,
            report=report,
            days=days,
            title=gettext("Erase %(user)s") % {"user": user},
        )

    @method_decorator(require_POST)
    def keep(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        user = self._managed_user(request, id_, "erase_user")
        audit.record(request, "keep", user)
        if erasure.cancel(user):
            messages.success(
                request, gettext("Erasure cancelled. The account has been restored to its previous state.")
            )
        else:
            messages.warning(request, gettext("No erasure is scheduled for this account."))
        return back_to(user)

    def _ask(self, request: HttpRequest, kind: ActKind, user: User, reason: str) -> HttpResponse:
        """Has another member of staff decide (`accounts.four_eyes`)."""
        audit.record(request, f"ask_{kind}", user, reason=reason)
        is_new = four_eyes.ask(kind, user_of(request), reason, user=user)
        messages.info(request, asked_sentence(is_new=is_new))
        return back_to(user)


def back_to(user: User) -> HttpResponse:
    return redirect("admin:accounts_user_change", user.pk)
