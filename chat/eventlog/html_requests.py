"""Answers whose HTML somebody waits for: a list in Redis that workers render before all others.

PostgreSQL knows every answer without HTML. The list says only which come first, and which pages must be sent the HTML.
Whoever shows an answer without HTML requests it, after it was read: HTML that was stored since is sent too.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from asgiref.sync import async_to_sync

from accounts.lib.outage import OUTAGE
from accounts.lib.redis import async_redis
from chat.eventlog import store
from chat.models import Message, MessageRole, MessageStatus

RENDER_GROUP: Final = "workers.render"  # of all workers
MAX_REQUESTS: Final = 2_000  # the oldest are dropped; the next view requests them again
KEEP_SECONDS: Final = 3_600  # without a worker that renders

_KEY: Final = "rendering:requested"  # message ids, by the time of the request
_IN_PROGRESS: Final = (MessageStatus.PENDING, MessageStatus.STREAMING)

logger = structlog.get_logger(__name__)


async def request_html(message_ids: Sequence[uuid.UUID]) -> None:
    """Asks the workers to make the HTML of these answers first. What was requested before keeps its place.

    An outage is logged only: the workers look for answers without HTML by themselves, and the next view asks again.
    """
    if not message_ids:
        return
    now = time.time()
    try:
        pipe = async_redis().pipeline(transaction=False)
        pipe.zadd(_KEY, {str(one): now for one in message_ids}, nx=True)
        pipe.zremrangebyrank(_KEY, 0, -MAX_REQUESTS - 1)
        pipe.expire(_KEY, KEEP_SECONDS)
        await pipe.execute()
        await _notify_workers()
    except OUTAGE as error:
        logger.warning("rendering_not_requested", error=type(error).__name__, note="workers look for it by themselves")


async def request_missing_html(shown: Iterable[Message]) -> None:
    """`request_html` for those of the messages that are complete answers without HTML."""
    await request_html([message.pk for message in shown if _lacks_html(message)])


def _lacks_html(message: Message) -> bool:
    is_answer = message.role == MessageRole.ASSISTANT and message.status not in _IN_PROGRESS
    return is_answer and bool(message.text) and not message.html


def notify_of_import() -> None:
    """Tells the workers that there are answers without HTML. Without Redis they find them within half a minute."""
    with contextlib.suppress(*OUTAGE):
        async_to_sync(_notify_workers)()


async def _notify_workers() -> None:
    await store.channel_layer().group_send(RENDER_GROUP, {"type": "answer.unrendered"})


async def requested(limit: int) -> list[uuid.UUID]:
    """The newest requests, so that one user's many do not stand before another's one. Raises `redis.RedisError`."""
    found: list[Any] = await async_redis().zrange(_KEY, 0, limit - 1, desc=True)
    return [uuid.UUID(one.decode()) for one in found]


async def forget(message_ids: Iterable[uuid.UUID]) -> None:
    """Removes requests that are served. Raises `redis.RedisError`."""
    if gone := [str(one) for one in message_ids]:
        await async_redis().zrem(_KEY, *gone)
