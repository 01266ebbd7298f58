"""The end of viewing pages as another user (`accounts.view_as`)."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts import audit, view_as
from accounts.models import User


@require_POST
@login_required
def end_view_as(request: HttpRequest) -> HttpResponse:
    """Shows one's own pages again. A second time does nothing."""
    user_id = view_as.end(request)
    if user_id is None:
        return redirect("/")
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return redirect("admin:accounts_user_changelist")
    audit.record(request, "view_as_end", user)
    return redirect("admin:accounts_user_change", user.pk)
