"""The page on which a user chooses the devices that get notifications."""

from __future__ import annotations

import uuid
from typing import Any

import redis
import structlog
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.adapter import mail_is_configured
from accounts.auth.requests import user_of
from accounts.models import MentionMails, Session, User
from chat.eventlog.user_events import notify_user
from chat.notifications.devices import add_device, devices_of, remove_device, set_with_text
from chat.notifications.keys import public_key, push_is_on
from chat.protocol.errors import Invalid
from chat.views.decorators import command, for_members

logger = structlog.get_logger(__name__)


@require_safe
@for_members
def show_devices(request: HttpRequest) -> HttpResponse:
    """The user's notified devices, and the control that adds this one."""
    here = _session(request)
    rows = [{"row": row, "here": row.session_hash == here.hash} for row in devices_of(user_of(request).pk)]
    context = {
        "rows": rows,
        "is_on": push_is_on(),
        "key": public_key(),
        "here": any(row["here"] for row in rows),
        "mails": MentionMails.choices if settings.MENTION_MAIL_MINUTES and mail_is_configured() else [],
        "mail_minutes": settings.MENTION_MAIL_MINUTES,
    }
    return render(request, "chat/notifications.html", context)


@sensitive_post_parameters()
@command
def add(request: HttpRequest) -> dict[str, Any]:
    """POST `endpoint`, `p256dh` and `auth` of the browser's subscription, and `with_text=1` to show titles and text."""
    post = request.POST
    row = add_device(
        user_of(request),
        _session(request),
        post.get("endpoint", ""),
        post.get("p256dh", ""),
        post.get("auth", ""),
        with_text=post.get("with_text") == "1",
    )
    _announce(request)
    return {"id": str(row.pk)}


@require_POST
@for_members
def choose_text(request: HttpRequest, device_id: uuid.UUID) -> HttpResponse:
    """POST `with_text=1` or `0`."""
    set_with_text(user_of(request).pk, device_id, with_text=request.POST.get("with_text") == "1")
    messages.success(request, _("Saved."))
    return redirect("chat:notifications")


@require_POST
@for_members
def choose_mails(request: HttpRequest) -> HttpResponse:
    """POST `mails`: one of `MentionMails`. 400 for anything else."""
    choice = request.POST.get("mails", "")
    if choice not in MentionMails.values:
        return HttpResponseBadRequest()
    User.objects.filter(pk=user_of(request).pk).update(mention_mails=choice)
    messages.success(request, _("Saved."))
    return redirect("chat:notifications")


@require_POST
@for_members
def remove(request: HttpRequest, device_id: uuid.UUID) -> HttpResponse:
    remove_device(user_of(request).pk, device_id)
    _announce(request)
    messages.success(request, _("This device gets no more notifications."))
    return redirect("chat:notifications")


def _announce(request: HttpRequest) -> None:
    """Open pages say whether they can be seen while there are notified devices. Without Redis they learn it later."""
    user_id = user_of(request).pk
    try:
        on = devices_of(user_id).exists()
        async_to_sync(notify_user)(user_id, {"type": "push.changed", "on": on})
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="push.changed", error=type(error).__name__)


def _session(request: HttpRequest) -> Session:
    """Raises `Invalid` if it has ended meanwhile."""
    row = Session.objects.filter(pk=request.session.session_key, user=user_of(request).pk).defer("session_data").first()
    if row is None:
        raise Invalid
    return row
