"""Issues the short-lived tickets that authenticate a WebSocket."""

from __future__ import annotations

import math

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.auth import sessions, tickets
from accounts.auth.adapter import client_ip
from accounts.auth.counters import tickets as counted
from accounts.lib import rate_limit
from accounts.models import User

logger = structlog.get_logger(__name__)


@rate_limit.own_rate
@require_POST
@never_cache
def issue_ticket(request: HttpRequest) -> JsonResponse:
    """A ticket for this session's next WebSocket (docs/protocol.md §1).

    Answers 200, 403 when not logged in, 429 with `retry_after` beyond RATE_TICKETS, 503 while Redis is unavailable.
    """
    user = request.user
    if not isinstance(user, User) or not request.session.session_key:
        return JsonResponse({"code": "forbidden", "message": _("Log in first.")}, status=403)
    if wait := rate_limit.try_acquire(rate_limit.required_limits((f"tickets:{user.pk.hex}", settings.RATE_TICKETS))):
        counted["rate_limited"] += 1
        seconds = math.ceil(wait)
        body = {
            "code": "rate_limited",
            "message": _("Too many connections. Please wait."),
            "retry_after": seconds,
        }
        return JsonResponse(body, status=429, headers={"Retry-After": str(seconds)})
    try:
        ticket = tickets.issue_ticket(user.pk, request.session.session_key)
    except redis.RedisError as error:
        counted["unavailable"] += 1
        logger.exception("ticket_store_failed", error=str(error))
        return JsonResponse(
            {"code": "unavailable", "message": _("The service is temporarily unavailable. Please try again.")},
            status=503,
        )
    counted["issued"] += 1
    sessions.record_client(request, client_ip(request))
    return JsonResponse({"ticket": ticket, "expires_in": tickets.LIFETIME})
