"""Has a worker send browser notifications. `notify` is for whoever has news for one user.

Here only those are dropped who have no notified device. Whether somebody is away, still a member and has not read it,
the worker decides when it sends (`workers.push`).
"""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog
from asgiref.sync import async_to_sync
from celery import current_app
from django.db import models
from kombu.exceptions import OperationalError as BrokerAway

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models import PushSubscription
from chat.notifications.keys import push_is_on

TASK: Final = "workers.tasks.push"

logger = structlog.get_logger(__name__)


class Kind(models.TextChoices):
    """What happened."""

    ANSWERED = "answered"  # an answer that the user asked for has ended
    FAILED = "failed"  # it failed
    WROTE = "wrote"  # somebody wrote in a conversation that the user is a member of
    MENTIONED = "mentioned"  # somebody named the user
    ADDED = "added"  # somebody made the user a member
    DECIDE = "decide"  # an answer waits for a decision about the calls of tools


@dataclass(frozen=True, slots=True)
class News:
    """One thing that happened, for several users. `message_id`: of which message; None for none."""

    kind: Kind
    conversation_id: uuid.UUID
    message_id: uuid.UUID | None
    user_ids: tuple[uuid.UUID, ...]


async def notify(
    user_id: uuid.UUID, kind: Kind, conversation_id: uuid.UUID, message_id: uuid.UUID | None = None
) -> None:
    """Notifies a user's devices of something in a conversation, if the user is away. Raises nothing: it may get lost.

    Of `WROTE` and `MENTIONED` for the same message one is sent, and of two the mention.
    """
    await notify_all([News(kind, conversation_id, message_id, (user_id,))])


def notify_soon(
    user_id: uuid.UUID, kind: Kind, conversation_id: uuid.UUID, message_id: uuid.UUID | None = None
) -> None:
    """`notify` from a thread, such as a view's."""
    async_to_sync(notify)(user_id, kind, conversation_id, message_id)


async def notify_all(news: Sequence[News]) -> None:
    """Has a worker notify all of them. Raises nothing."""
    if not (news and push_is_on()):
        return
    try:
        wanted = await in_db(_with_devices, {user for one in news for user in one.user_ids})
        for one in news:
            users = [str(user) for user in one.user_ids if user in wanted]
            if users:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(_executor(), _enqueue, one, users)
    except (*OUTAGE, BrokerAway) as error:
        logger.warning("push_not_enqueued", error=type(error).__name__)


def _with_devices(user_ids: set[uuid.UUID]) -> set[uuid.UUID]:
    rows = PushSubscription.objects.filter(user_id__in=user_ids)
    return set(rows.order_by().values_list("user_id", flat=True).distinct())


def _enqueue(one: News, users: list[str]) -> None:
    message_id = str(one.message_id) if one.message_id else None
    arguments = [one.kind.value, str(one.conversation_id), message_id, users]
    current_app.send_task(TASK, args=arguments, retry=False, ignore_result=True)


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="push-jobs")
