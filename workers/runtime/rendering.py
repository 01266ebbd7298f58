"""Makes the HTML of answers that ended without it, once.

Those are answers whose worker was lost, that were cut after their end (barge-in), whose rendering was postponed on a
busy machine, that were imported, or that are older than their HTML. Until then pages show their text as it was written.

Those that somebody waits for come first (`chat.eventlog.html_requests`). The others, perhaps 100,000 after an import,
have one process of low priority for all workers together, and are looked through in batches of `BATCH_SECONDS`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.db import connection, transaction

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from chat.eventlog import events, html_requests, store
from chat.markdown.pool import RenderPool, background_pool, shared_pool
from chat.models import Message, MessageStatus, Run
from chat.runs.context import earlier_runs

FALLBACK_SECONDS: Final = 30.0  # between two looks without a notice that an answer has no HTML
AGAIN_SECONDS: Final = 1.0  # when another worker renders, or no process is free
BATCH: Final = 20
BATCH_SECONDS: Final = 1.0  # then what was requested meanwhile has its turn
CLAIM_SECONDS: Final = 60  # one worker renders at a time; longer than a batch whose last text misses its deadline

_CLAIM: Final = "rendering:claimed"
# The closing event of an answer that has just ended, without HTML, may be on its way into the log. HTML must not come
# before it; if it never arrives, `chat.recovery` appends it with the HTML.
_READY: Final = """
SELECT m.id, m.text, hashtextextended(m.text, 0) FROM chat_message m
LEFT JOIN chat_run r ON r.message_id = m.id AND r.latest
WHERE m.role = 'assistant' AND m.html = '' AND m.text <> '' AND m.status NOT IN ('pending', 'streaming')
    AND (r.id IS NULL OR r.ended_in_log OR r.finished_at < clock_timestamp() - interval '10 seconds')
"""
_REQUESTED: Final = _READY + " AND m.id = ANY(%s) LIMIT %s"
_MISSING: Final = _READY + " ORDER BY m.id DESC LIMIT %s"
# Not when the text has changed, goes on, or has HTML by now.
_STORE: Final = """
UPDATE chat_message m SET html = made.html FROM unnest(%s::uuid[], %s::bigint[], %s::text[]) AS made(id, digest, html)
WHERE m.id = made.id AND hashtextextended(m.text, 0) = made.digest
    AND m.html = '' AND m.status NOT IN ('pending', 'streaming')
"""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Missing:
    message_id: uuid.UUID
    text: str
    digest: int


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
    """Renders up to `BATCH` answers: those that were requested, else some of the others.

    Returns in how many seconds to call it again; None when there is nothing left. Raises a database error or
    `redis.RedisError` during an outage.
    """
    if not await async_redis().set(_CLAIM, "1", nx=True, ex=CLAIM_SECONDS):
        return AGAIN_SECONDS
    try:
        if requested := await html_requests.requested(BATCH):
            return await _render_requested(requested)
        return await _render_others()
    finally:
        await async_redis().delete(_CLAIM)


async def _render_requested(requested: Sequence[uuid.UUID]) -> float:
    """Renders those that still lack HTML, and sends the HTML of all to the pages that show them."""
    missing = {one.message_id: one for one in await in_db(_read, _REQUESTED, list(requested), len(requested))}
    deadline = time.monotonic() + BATCH_SECONDS
    for message_id in requested:
        if message_id in missing:
            one = missing[message_id]
            html = await shared_pool().render_soon(one.text)
            if not html:
                return AGAIN_SECONDS
            await in_db(_store, [(one, html)])
        await store.append(*await in_db(_updates, [message_id]))
        await html_requests.forget([message_id])
        if time.monotonic() > deadline:
            break
    return 0.0


async def _render_others() -> float | None:
    """Renders the newest answers that nobody waits for. Pages that show one have requested it, unless Redis lost that:
    those that ended here, and not elsewhere before an import, are sent in any case.
    """
    missing = await in_db(_read, _MISSING, BATCH)
    if not missing:
        return None
    made = await _render_until(time.monotonic() + BATCH_SECONDS, missing, background_pool())
    await in_db(_store, made)
    for append in await in_db(_updates, [one.message_id for one, _ in made], only_with_run=True):
        await store.append(append)
    if len(made) < len(missing):
        return 0.0 if made else AGAIN_SECONDS
    if len(missing) < BATCH:
        background_pool().end_process()
        return None
    return 0.0


async def _render_until(deadline: float, missing: Sequence[_Missing], pool: RenderPool) -> list[tuple[_Missing, str]]:
    """Their HTML, as far as it is made by the `deadline` and a process is free."""
    made = []
    for one in missing:
        html = await pool.render_soon(one.text)
        if not html:
            break
        made.append((one, html))
        if time.monotonic() > deadline:
            break
    return made


def _read(query: str, *values: Any) -> list[_Missing]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [_Missing(*row) for row in cursor.fetchall()]


def _store(made: Sequence[tuple[_Missing, str]]) -> None:
    """Stores HTML, unless the text has changed, goes on, or has HTML by now."""
    ids, digests = [one.message_id for one, _ in made], [one.digest for one, _ in made]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [ids, digests, [html for _, html in made]])
    logger.info("answers_rendered", answers=len(made), length=sum(len(one.text) for one, _ in made))


@transaction.atomic
def _updates(message_ids: Sequence[uuid.UUID], *, only_with_run: bool = False) -> list[store.Append]:
    """The events that give pages the HTML of these answers, as far as they have it.

    Not of an answer whose end is not in the log yet: its HTML comes with that, or is requested after it.
    """
    runs = {run.message_id: run for run in Run.objects.filter(message__in=message_ids, latest=True)}
    ended = Message.objects.select_related("author").filter(pk__in=message_ids).exclude(html="")
    appends = []
    for message in ended.exclude(status__in=(MessageStatus.PENDING, MessageStatus.STREAMING)):
        run = runs.get(message.pk)
        if not only_with_run if run is None else run.ended_in_log:
            event = events.message_updated(message, run, earlier_runs(run) if run else ())
            appends.append(store.Append(message.conversation_id, [event]))
    return appends
