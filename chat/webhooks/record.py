"""Records events for the webhooks that want them, in the transaction in which they happen, and has a worker send them.

An event is sent if and only if what it tells was committed. Where no webhook wants it, it costs nothing: what they want
is known to each process, and read again after `KNOWN_SECONDS`.
"""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import Q
from kombu.exceptions import OperationalError as BrokerAway

from accounts.lib.outage import OUTAGE
from chat.models.webhooks import Webhook, WebhookDelivery, WebhookEvent

TASK: Final = "workers.tasks.send_webhooks"
KNOWN_SECONDS: Final = 5.0

logger = structlog.get_logger(__name__)
_Wanted = frozenset[tuple[uuid.UUID | None, str]]  # (the webhook's owner, the kind of event)
_known: tuple[float, _Wanted] = (0.0, frozenset())


def is_wanted(event: WebhookEvent, about: uuid.UUID | None = None) -> bool:
    """Whether an enabled webhook wanted this kind of event, at most `KNOWN_SECONDS` ago: one of the site, or one of the
    user whom the event is `about`.
    """
    global _known
    read_at, wanted = _known
    if not read_at or time.monotonic() - read_at > KNOWN_SECONDS:
        rows = Webhook.objects.filter(enabled=True).values_list("owner", "events")
        wanted = frozenset((owner, name) for owner, events in rows for name in events)
        _known = (time.monotonic(), wanted)
    return (None, event.value) in wanted or (about is not None and (about, event.value) in wanted)


def forget_wanted(**_kwargs: Any) -> None:
    """A webhook has changed: this process reads again what they want."""
    global _known
    _known = (0.0, frozenset())


def record_event(event: WebhookEvent, data: Mapping[str, Any], *, key: str = "", about: uuid.UUID | None = None) -> int:
    """Records an event for each webhook that wants it; for how many. `data` has ids and numbers, no texts of people.

    Users' own webhooks get only what is `about` their owner. Of several events with the same `key` a webhook gets the
    first.
    """
    if not is_wanted(event, about):
        return 0
    theirs = Q(owner=None) | Q(owner=about, owner__is_active=True) if about else Q(owner=None)
    rows_wanting = Webhook.objects.filter(theirs, enabled=True, events__contains=[event.value])
    wanting = rows_wanting.values_list("pk", flat=True)
    rows = [WebhookDelivery(webhook_id=pk, event=event, data=dict(data), key=key) for pk in wanting]
    WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True)
    if rows:
        transaction.on_commit(send_soon, robust=True)
    return len(rows)


def send_soon() -> None:
    """Has a worker send what is due. If the job is lost, the next one of beat does it."""
    _executor().submit(_enqueue)


def _enqueue() -> None:
    try:
        current_app.send_task(TASK, retry=False, ignore_result=True)
    except (*OUTAGE, BrokerAway) as error:
        logger.warning("webhooks_not_enqueued", error=type(error).__name__, note="beat enqueues them")


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhook-jobs")
