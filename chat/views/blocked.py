"""What the owner of a blocked account can still do: read why, and appeal. They have proven their password before."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.inactive import inactive_account
from chat.protocol.errors import ChatError
from chat.review import own_cases
from chat.review.decisions import MOST_APPEAL
from chat.views.moderation import send_appeal


@never_cache
@require_safe
def show_blocked_cases(request: HttpRequest) -> HttpResponse:
    """The cases of a blocked account. Without one, or too long after the password, one logs in again."""
    person = inactive_account(request)
    if person is None:
        return redirect("account_login")
    rows = [own_cases.shown_case(case) for case in own_cases.known_cases(person)[: own_cases.SHOWN]]
    own_cases.mark_seen(person)
    context = {"rows": rows, "blocked": True, "most": MOST_APPEAL, "base": "account/base.html"}
    return render(request, "chat/cases.html", context)


@sensitive_post_parameters("text")
@never_cache
@require_POST
def appeal_blocked_case(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """POST `text`. The page says what was refused."""
    person = inactive_account(request)
    if person is None:
        return redirect("account_login")
    try:
        send_appeal(person, case_id, request.POST.get("text", ""))
    except ChatError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("It has been sent to the reviewers."))
    return redirect("chat:blocked_cases")
