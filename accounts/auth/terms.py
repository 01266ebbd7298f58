"""Terms of the site: whoever is logged in has accepted the version in force, before anything else."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from allauth.account.forms import SignupForm
from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from accounts.auth.adapter import client_ip
from accounts.lib.view_middleware import ViewMiddleware
from accounts.models import TermsAcceptance, User
from accounts.site import site

ACCEPTED: Final = "terms"  # in the session: the version that its user has accepted
# Pages that work before: those of the terms, leaving, what is not of one user, and the admin, where terms are written.
_open = {
    "account_terms", "account_accept_terms", "account_logout", "account_delete", "account_reauthenticate", "site_logo",
    "csp_report", "security_txt",
}  # fmt: skip


def register_open_pages(*names: str) -> None:
    """Adds pages of other apps, by their URL names, that work before the terms are accepted."""
    _open.update(names)


def must_accept(request: HttpRequest) -> bool:
    """Whether the user of the request has yet to accept the version in force. One query in each session."""
    version, user = site().terms, request.user
    if not version or not isinstance(user, User) or request.session.get(ACCEPTED, 0) >= version:
        return False
    if not TermsAcceptance.objects.filter(user=user, version__gte=version).exists():
        return True
    request.session[ACCEPTED] = version
    return False


def accept_terms(request: HttpRequest, user: User, version: int) -> None:
    """Records that the user accepts a version now. A second time changes nothing."""
    TermsAcceptance.objects.get_or_create(user=user, version=version, defaults={"ip": client_ip(request)})
    request.session[ACCEPTED] = version


class TermsMiddleware(ViewMiddleware):
    """Leads a logged-in user who has yet to accept the terms to their page; a script is answered 403 (`terms`)."""

    def process_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        match = request.resolver_match
        name = match.view_name if match else ""
        if name in _open or name.startswith(("admin:", "staff_")) or not must_accept(request):
            return None
        if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", ""):
            query = urlencode({"next": request.get_full_path()})
            return redirect(f"{reverse('account_accept_terms')}?{query}")
        said = str(_("The terms of this site have changed. Load the page again to read and accept them."))
        return JsonResponse({"code": "terms", "message": said}, status=403)


class TermsSignupForm(SignupForm):  # type: ignore[misc]  # allauth ships no types
    """allauth's sign-up form, which asks for the terms where there are any."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.terms = site().terms
        if self.terms:
            said = _("I accept the terms of this site")
            label = format_html('<a href="{}" target="_blank">{}</a>', reverse("account_terms"), said)
            self.fields["terms"] = forms.BooleanField(
                label=label, error_messages={"required": _("Accept the terms to create an account.")}
            )

    def save(self, request: HttpRequest) -> User:
        user: User = super().save(request)
        if self.terms and isinstance(user, User):
            accept_terms(request, user, self.terms)
        return user
