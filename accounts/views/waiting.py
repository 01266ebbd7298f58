"""The page for accounts that wait for approval (SIGN_UP=approval)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def show_waiting(request: HttpRequest) -> HttpResponse:
    """Says that staff have to approve the account. It contains no user data."""
    return render(request, "account/waiting.html")
