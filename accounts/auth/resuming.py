"""Resuming a page's connection in one round trip: an open socket hands over the ticket for the next one.

Such a ticket is valid once, and only for the session of its socket, but for a day. So whoever comes with one is looked
at in PostgreSQL again (`sessions.CHECK`), as a request for a ticket would be. Where such a request can be refused for
more than that (terms to accept, a second factor to set up), no ticket is handed over, and none that was is taken: pages
then ask for each, by HTTP.
"""

from __future__ import annotations

import uuid
from typing import Final

import redis
import structlog
from django.conf import settings
from django.db.models import Q

from accounts.auth.tickets import issue_resumable_ticket, withdraw_ticket
from accounts.models import User
from accounts.site import site

_STAFF: Final = {"staff"}

logger = structlog.get_logger(__name__)


def is_offered(user_id: uuid.UUID) -> bool:
    """Whether sockets of this user hand over tickets. Sync; raises a database error."""
    if site().terms or not settings.SECOND_FACTOR_REQUIRED <= _STAFF:
        return False
    privileged = User.objects.filter(Q(is_staff=True) | Q(is_superuser=True), pk=user_id)
    return not (settings.SECOND_FACTOR_REQUIRED and privileged.exists())


async def hand_over(user_id: uuid.UUID, session_hash: str, language: str) -> str:
    """A ticket for the next socket; empty if Redis does not take it: the page asks for one then."""
    try:
        return await issue_resumable_ticket(user_id, session_hash, language)
    except redis.RedisError as error:
        logger.warning("ticket_not_handed_over", error=type(error).__name__)
        return ""


async def withdraw(ticket: str) -> None:
    """The page has gone for good, or its session has ended. An outage is only logged: the ticket expires."""
    try:
        await withdraw_ticket(ticket)
    except redis.RedisError as error:
        logger.warning("ticket_not_withdrawn", error=type(error).__name__)
