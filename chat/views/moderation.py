"""What a person does about moderation: report a message, read their own cases, appeal."""

from __future__ import annotations

import math
import uuid
from typing import Any, Final

from django.contrib import messages
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from accounts.lib import rate_limit
from accounts.models import User
from accounts.suspension import is_suspended, sentence
from chat.models import Member, ModerationReport
from chat.protocol.errors import ChatError, RateLimited
from chat.review import own_cases
from chat.review.decisions import MOST_APPEAL, appeal
from chat.review.reports import report_message
from chat.views.decorators import command, for_members

REPORT_RATE: Final = "20/h"  # per user
APPEAL_RATE: Final = "20/h"


@command
def report(request: HttpRequest, message_id: uuid.UUID) -> dict[str, Any]:
    """POST `reason`, `note`. A viewer may report, too."""
    user = user_of(request)
    _acquire(f"reports:{user.pk.hex}", REPORT_RATE)
    report_message(user.pk, message_id, request.POST.get("reason", ""), request.POST.get("note", ""))
    return {}


@require_safe
@for_members
def show_cases(request: HttpRequest) -> HttpResponse:
    """The person's own cases; what was decided counts as read from then on."""
    user = user_of(request)
    rows = [own_cases.shown_case(case) for case in own_cases.known_cases(user)[: own_cases.SHOWN]]
    own_cases.mark_seen(user)
    suspended = sentence(user.suspended_until, user.suspension_reason) if is_suspended(user) else ""  # type: ignore[arg-type]  # it has a time
    context = {"rows": rows, "suspended": suspended, "most": MOST_APPEAL, "base": "account/settings_base.html"}
    return render(request, "chat/cases.html", context)


@sensitive_post_parameters("text")
@require_POST
@for_members
def appeal_case(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """POST `text`. The page says what was refused."""
    user = user_of(request)
    try:
        send_appeal(user, case_id, request.POST.get("text", ""))
    except ChatError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("It has been sent to the reviewers."))
    return redirect("chat:cases")


def send_appeal(person: User, case_id: uuid.UUID, text: str) -> None:
    """An appeal from a form. Raises `ChatError`s."""
    _acquire(f"appeals:{person.pk.hex}", APPEAL_RATE)
    appeal(person, case_id, text.replace("\r\n", "\n"))  # browsers send two characters for each end of a line


def with_reports_and_decisions(
    members: QuerySet[Member], reader: User, conversation_id: uuid.UUID
) -> QuerySet[Member]:  # fmt: skip
    """The rows with `reported`, the ids of the messages that the reader has reported, and `decisions`, whether the
    reader has decisions to read: the same in each row, so that the page needs no query of its own for them.
    """
    return members.annotate(
        reported=ArraySubquery(_reports(reader, conversation_id)), decisions=Exists(own_cases.unseen_cases(reader))
    )


def reported_in(reader: User, conversation_id: uuid.UUID) -> set[uuid.UUID]:
    """The ids of the messages of a conversation that the reader has reported."""
    return set(_reports(reader, conversation_id).values_list("case__target_id", flat=True))


def _reports(reader: User, conversation_id: uuid.UUID) -> QuerySet[Any, Any]:
    rows = ModerationReport.objects.filter(reporter=reader, case__conversation=conversation_id)
    return rows.values("case__target_id")


def suspension_shown(request: HttpRequest) -> dict[str, str] | None:
    """Until when and why the account is suspended, for the page; None if it is not."""
    user = user_of(request)
    if user.suspended_until is None or not is_suspended(user):
        return None
    until = user.suspended_until
    return {"until": until.isoformat(), "message": sentence(until, user.suspension_reason)}


def _acquire(key: str, rate: str) -> None:
    """Counts one under the limit. Raises `RateLimited`."""
    if wait := rate_limit.try_acquire(rate_limit.required_limits((key, rate))):
        raise RateLimited(_("You’ve done this too often. Try again later."), retry_after=math.ceil(wait))
