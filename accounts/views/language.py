"""The choice of the pages' language."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.http import require_POST

from accounts.auth.language import browser_language, offered
from accounts.auth.requests import AuthenticatedRequest


@login_required
@require_POST
def choose_language(request: AuthenticatedRequest) -> HttpResponse:
    """Keeps the user's language; a code that is not offered, such as an empty one, means the browser's."""
    user = request.user
    user.language = offered(request.POST.get("language", ""))
    user.save(update_fields=["language"])
    with override(user.language or browser_language(request)):
        messages.success(request, _("Your language has been saved."))
    return redirect("account_settings")
