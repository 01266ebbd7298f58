"""One job: decides who is away, and sends them a notification."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, Final

import structlog
from django.conf import settings

from accounts.lib import rate_limit
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.lib.per_loop import PerLoop
from accounts.lib.redis import async_redis
from chat.notifications.notify import Kind
from chat.notifications.visibility import visible_users
from chat.telemetry import metrics
from workers.push.contents import devices_for
from workers.push.sender import PushSender

MOST_WAITING: Final = 1_000  # jobs of one process; more are given up: a notification that is late is of no use
REMEMBER_SECONDS: Final = 600  # for which the same message is not announced again to the same user

_sender: Final = PerLoop(PushSender, close=PushSender.aclose)
_waiting = 0

logger = structlog.get_logger(__name__)


async def deliver(
    kind: Kind, conversation_id: uuid.UUID, message_id: uuid.UUID | None, users: Sequence[uuid.UUID]
) -> None:
    """Notifies those of `users` who have no visible page, each within `RATE_PUSH`. Raises nothing."""
    global _waiting
    if _waiting >= MOST_WAITING:
        metrics.pushes["given_up"] += 1
        return
    _waiting += 1
    try:
        away = set(users) - await visible_users(users)
        found = await in_db(devices_for, kind, conversation_id, message_id, sorted(away)) if away else []
        allowed = [user for user in {one.device.user_id for one in found} if await _is_news(user, kind, message_id)]
        allowed = [user for user in allowed if not await asyncio.to_thread(_is_over_limit, user)]
        notifications = [one for one in found if one.device.user_id in allowed]
        if not notifications:
            return
        for result in await asyncio.gather(*map(_sender().send, notifications), return_exceptions=True):
            if isinstance(result, Exception):
                logger.warning("push_not_recorded", error=type(result).__name__)
    except OUTAGE as error:
        metrics.pushes["given_up"] += 1
        logger.warning("push_not_sent", kind=kind.value, error=type(error).__name__)
    except Exception:
        metrics.pushes["given_up"] += 1
        logger.exception("push_not_sent", kind=kind.value)
    finally:
        _waiting -= 1


async def _is_news(user_id: uuid.UUID, kind: Kind, message_id: uuid.UUID | None) -> bool:
    """False if the user was notified of this message before. A mention may follow "somebody wrote"."""
    if message_id is None:
        return True
    name = f"push:{user_id.hex}:{message_id.hex}"
    if kind is Kind.MENTIONED:
        before: Any = await async_redis().set(name, kind.value, ex=REMEMBER_SECONDS, get=True)
        return before is None or before == Kind.WROTE.value.encode()
    return bool(await async_redis().set(name, kind.value, ex=REMEMBER_SECONDS, nx=True))


def _is_over_limit(user_id: uuid.UUID) -> bool:
    limits = rate_limit.required_limits((f"push:{user_id.hex}", settings.RATE_PUSH))
    return rate_limit.try_acquire(limits) > 0
