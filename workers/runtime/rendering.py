"""Makes the HTML of answers that ended without it, once.

Those are answers whose worker was lost, that were cut after their end (barge-in), whose rendering was postponed on a
busy machine, or that are older than their HTML. Until then pages show their text as it was written.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Final

import structlog
from django.db import connection

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from chat.eventlog import events, store
from chat.markdown.pool import shared_pool
from chat.models import Message, Run
from chat.models.messages import UNRENDERED
from chat.runs.context import earlier_runs

FALLBACK_SECONDS: Final = 30.0  # between two looks without a notice that an answer has no HTML
AGAIN_SECONDS: Final = 1.0  # when another worker renders, or no process is free
BATCH: Final = 20
CLAIM_SECONDS: Final = 150  # one worker renders at a time; longer than a batch that misses every deadline

_CLAIM: Final = "rendering:claimed"
# The closing event of an answer that has just ended, without HTML, may be on its way into the log. HTML must not come
# before it; if it never arrives, `chat.recovery` appends it with the HTML.
_MISSING: Final = """
SELECT m.id, m.text FROM chat_message m LEFT JOIN chat_run r ON r.message_id = m.id AND r.latest
WHERE m.role = 'assistant' AND m.html = '' AND m.text <> '' AND m.status NOT IN ('pending', 'streaming')
    AND (r.id IS NULL OR r.ended_in_log OR r.finished_at < clock_timestamp() - interval '10 seconds')
ORDER BY m.id DESC LIMIT %s
"""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Missing:
    message_id: uuid.UUID
    text: str


class MissingHtml:
    """Renders when `wake` is set (`workers.runtime.repeat`), which it also sets by itself while answers are left."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()

    async def render(self) -> None:
        """`render_missing`, and again soon if answers are left."""
        wait = await render_missing()
        if wait is not None:
            asyncio.get_running_loop().call_later(wait, self.wake.set)


async def render_missing() -> float | None:
    """Renders up to `BATCH` answers, the newest first, and sends their HTML to the pages that show them.

    Returns in how many seconds to call it again; None when there is nothing left. Raises a database error or
    `redis.RedisError` during an outage.
    """
    missing = await in_db(_read_missing)
    if not missing:
        return None
    if not await async_redis().set(_CLAIM, "1", nx=True, ex=CLAIM_SECONDS):
        return AGAIN_SECONDS
    try:
        for one in missing:
            html = await shared_pool().render_soon(one.text)
            if not html:
                return AGAIN_SECONDS
            append = await in_db(_store, one, html)
            logger.info("answer_rendered", message=str(one.message_id), length=len(one.text))
            if append is not None:
                await store.append(append)
        return 0.0 if len(missing) == BATCH else None
    finally:
        await async_redis().delete(_CLAIM)


def _read_missing() -> list[_Missing]:
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, [BATCH])
        return [_Missing(*row) for row in cursor.fetchall()]


def _store(one: _Missing, html: str) -> store.Append | None:
    """Stores the HTML, unless the text has changed, goes on, or has HTML by now. Returns the event for pages that show
    the end of the answer already.
    """
    wanted = Message.objects.filter(UNRENDERED, pk=one.message_id, text=one.text)
    message = wanted.select_related("author").first()
    if message is None or not wanted.update(html=html):
        return None
    message.html = html
    run = Run.objects.filter(message_id=message.pk, latest=True, ended_in_log=True).first()
    if run is None:
        return None
    return store.Append(message.conversation_id, [events.message_updated(message, run, earlier_runs(run))])
