"""What staff do to one person: each a POST of its own, allowed by a permission and by `roles.may_manage`, and
written down before it happens.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts import audit, erasure, roles
from accounts.admin.user_page import quota_bars
from accounts.auth.requests import user_of
from accounts.auth.revocation import end_all_sessions, end_session
from accounts.lib.streaming import stream_file
from accounts.models import Quota, Session, User
from accounts.models.fields import MOST, NANO
from accounts.quotas import top_ups
from accounts.quotas.balance import user_balances
from accounts.quotas.wording import plain_number, quota_name

REPORT: Final = {  # in what order `UserData.report` is told, and how
    "conversations_deleted": "conversations that nobody else is in, deleted",
    "conversations_left": "shared conversations, left to the others",
    "conversations_handed_over": "of these, given another owner",
    "messages_blanked": "messages in shared conversations, their words replaced by “(erased)”",
    "recordings_deleted": "recordings, deleted",
    "sessions_ended": "sessions, ended",
    "audit_entries_kept": "entries of the audit log about what they did as staff, kept",
}


class QuotaTopUpForm(forms.Form):
    quota = forms.TypedChoiceField(coerce=int, widget=UnfoldAdminSelectWidget)
    amount = forms.DecimalField(
        min_value=NANO, max_value=MOST, max_digits=24, decimal_places=9, widget=UnfoldAdminDecimalFieldWidget,
        help_text="Added to the period that is running.",
    )  # fmt: skip
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, help_text="For whoever asks later.")

    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["quota"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [(balance.quota_id, quota_name(balance)) for balance in user_balances(person.pk)]


class EraseForm(forms.Form):
    """Typing the address is the confirmation."""

    email = forms.CharField(
        label="Type the person's address to confirm", widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )

    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_email(self) -> str:
        typed = str(self.cleaned_data["email"]).strip().lower()
        if typed != self.person.email:
            raise ValidationError("That is not this person's address.")
        return typed


class UserActions:
    """Mixed into the users' admin: pages under the person's own."""

    admin_site: Any
    opts: Any

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
        }
        named = [
            path(
                f"<uuid:id_>/{route}/",
                self.admin_site.admin_view(view),
                name=f"accounts_user_{route.partition('/')[0].replace('-', '_')}",
            )
            for route, view in views.items()
        ]
        return [*named, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's, beside which this is mixed in

    def allowed(self, request: HttpRequest, person: User) -> dict[str, bool]:
        """Which of these the member of staff may do to this person."""
        viewer = user_of(request)
        names = ("top_up", "disable_user", "end_sessions", "export_user", "erase_user")
        may = roles.may_manage(viewer, person)
        found = {name: may and viewer.has_perm(f"accounts.{name}") for name in names}
        if viewer.pk == person.pk:  # nobody shuts themselves out by mistake, or gives themselves more
            found |= dict.fromkeys(("disable_user", "erase_user"), False)
            found["top_up"] = found["top_up"] and viewer.is_superuser
        return found

    def _person(self, request: HttpRequest, id_: uuid.UUID, permission: str) -> User:
        """404 for nobody, 403 for who may not."""
        if not request.user.has_perm(f"accounts.{permission}"):
            raise PermissionDenied  # before it is told whether there is such a person
        person: User = get_object_or_404(User, pk=id_)
        if not self.allowed(request, person)[permission]:
            raise PermissionDenied
        return person

    def _page(self, request: HttpRequest, template: str, person: User, **context: Any) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "original": person, "person": person}
        return TemplateResponse(request, f"admin/accounts/user/{template}.html", {**shared, **context})

    def top_up(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        person = self._person(request, id_, "top_up")
        form = QuotaTopUpForm(person, request.POST or None)
        if request.method != "POST" or not form.is_valid():
            bars = quota_bars(person)
            return self._page(request, "top_up", person, form=form, quotas=bars, title=f"Top up {person}")
        chosen = form.cleaned_data
        audit.record(request, "top_up", person, details=f"{plain_number(chosen['amount'])}: {chosen['reason']}")
        by, reason = user_of(request).pk, chosen["reason"]
        try:
            top_ups.top_up(person.pk, chosen["quota"], chosen["amount"], by=by, reason=reason)
        except Quota.DoesNotExist:
            messages.error(request, "This quota does not hold for this person any more.")
        else:
            messages.success(request, f"{plain_number(chosen['amount'])} more for {person}.")
        return _back(person)

    @method_decorator(require_POST)
    def reset_period(self, request: HttpRequest, id_: uuid.UUID, quota: int) -> HttpResponse:
        person = self._person(request, id_, "top_up")
        audit.record(request, "reset", person)
        try:
            made = top_ups.reset(person.pk, quota, by=user_of(request).pk)
        except Quota.DoesNotExist:
            messages.error(request, "This quota does not hold for this person any more.")
        else:
            said = f"Given back: {plain_number(made.amount)}." if made else "Nothing of it was used: nothing changed."
            messages.success(request, said)
        return _back(person)

    @method_decorator(require_POST)
    def switch(self, request: HttpRequest, id_: uuid.UUID, to: str) -> HttpResponse:
        person = self._person(request, id_, "disable_user")
        on = to == "on"
        if wrong := switch(request, person, on=on):
            messages.error(request, wrong)
        else:
            now = "may log in again" if on else "is switched off, and every session has ended"
            messages.success(request, f"{person} {now}.")
        return _back(person)

    @method_decorator(require_POST)
    def end_all(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        person = self._person(request, id_, "end_sessions")
        audit.record(request, "end_sessions", person)
        messages.success(request, f"Sessions ended: {end_all_sessions(person)}.")
        return _back(person)

    @method_decorator(require_POST)
    def end_one(self, request: HttpRequest, id_: uuid.UUID, hash_: str) -> HttpResponse:
        person = self._person(request, id_, "end_sessions")
        session = Session.objects.filter(user=person, hash=hash_).first()
        if session is None:
            messages.warning(request, "That session had ended already.")
        else:
            audit.record(request, "end_session", person)
            end_session(session.session_key)
            messages.success(request, "That session is ended.")
        return _back(person)

    @method_decorator(require_POST)
    def export(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponseBase:
        """Everything about the person, what they wrote too: hence a permission of its own."""
        person = self._person(request, id_, "export_user")
        audit.record(request, "export_user", person)
        pieces = erasure.user_data().export(person)
        return stream_file(request, f"{person.email}.json", "application/json", pieces)

    def erase(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        person = self._person(request, id_, "erase_user")
        if person.erase_at is not None:
            return _back(person)
        form = EraseForm(person, request.POST or None)
        if request.method == "POST" and form.is_valid():
            audit.record(request, "erase", person)
            try:
                erasure.schedule(person)  # the person's page says when it happens
            except erasure.LastAdministratorError as error:
                messages.error(request, str(error))
            return _back(person)
        found = erasure.user_data().report(person)
        report = [(text, found[name]) for name, text in REPORT.items() if name in found]
        days = settings.ERASE_GRACE_DAYS
        return self._page(request, "erase", person, form=form, report=report, days=days, title=f"Erase {person}")

    @method_decorator(require_POST)
    def keep(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        person = self._person(request, id_, "erase_user")
        audit.record(request, "keep", person)
        if erasure.cancel(person):
            messages.success(request, "Called off. The account is as it was.")
        else:
            messages.warning(request, "This account is not to be erased.")
        return _back(person)


def switch(request: HttpRequest, person: User, *, on: bool) -> str | None:
    """Switches an account on or off; a sentence when that may not be."""
    audit.record(request, "switch_on" if on else "switch_off", person)
    if on:
        return None if erasure.switch_on(person) else f"{person} is to be erased: call that off first."
    try:
        erasure.switch_off(person)
    except erasure.LastAdministratorError as error:
        return str(error)
    return None


def _back(person: User) -> HttpResponse:
    return redirect("admin:accounts_user_change", person.pk)
