"""The pages for accounts that nobody can log in to: they wait for approval (SIGN_UP=approval), or are disabled."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.auth.inactive import inactive_account

_reasons: list[str] = []  # the URL name of another app's page that says why an account is disabled


def register_reasons_page(view: str) -> None:
    """Lets the page of a disabled account link to another app's page, which says why it is."""
    _reasons[:] = [view]


@require_safe
def show_waiting(request: HttpRequest) -> HttpResponse:
    """Says that staff have to approve the account. It contains no user data."""
    return render(request, "account/waiting.html")


@never_cache
@require_safe
def show_inactive(request: HttpRequest) -> HttpResponse:
    """Says that the account is disabled; after the right password, with the way to the reasons."""
    known = bool(_reasons) and inactive_account(request) is not None
    return render(request, "account/account_inactive.html", {"reasons": reverse(_reasons[0]) if known else ""})
