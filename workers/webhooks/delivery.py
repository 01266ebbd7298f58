"""Takes the deliveries that are due, sends each, and notes how it went.

A delivery that is taken becomes due again after `LEASE`: whatever ends this process, another one sends it. So a
receiver may get an event twice, with the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from accounts.lib.outage import OUTAGE
from chat.models.webhooks import DeliveryState, Webhook, WebhookDelivery
from workers.tools.fetching import FetchError, FetchRequest, fetch
from workers.webhooks.disabling import disable_webhook
from workers.webhooks.payload import headers_of, read_payload

AT_ONCE: Final = 10
PER_WEBHOOK: Final = 2
LEASE: Final = timedelta(seconds=90)
JITTER: Final = 0.1
GONE: Final = 410
MOST_LOGGED: Final = 30  # attempts, with those that staff ask for
READ_BYTES: Final = 4096  # of a response, which is not stored

logger = structlog.get_logger(__name__)
_running = _again = False  # of this process's loop


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt went. `status` is of HTTP, None without a response; `error` is for staff."""

    status: int | None
    ms: int
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def deliver_due() -> None:
    """Sends what is due, until nothing is. Several workers may do so at once, each once. Raises nothing."""
    global _running, _again
    _again = True
    if _running:  # it looks again before it ends
        return
    _running = True
    try:
        while _again:
            _again = False
            await _deliver_all()
    except OUTAGE as error:
        logger.warning("webhooks_not_sent", error=type(error).__name__, note="they are sent later")
    finally:
        _running = False


async def _deliver_all() -> None:
    """Keeps up to `AT_ONCE` deliveries under way until nothing is due, `PER_WEBHOOK` of them for each webhook: one
    whose address is slow holds up its own events, not those of others.
    """
    under_way: dict[asyncio.Task[None], uuid.UUID] = {}
    try:
        while True:
            busy = Counter(under_way.values())
            for delivery_id, webhook_id in await in_db(take_due, AT_ONCE - len(under_way), busy):
                under_way[asyncio.create_task(_deliver(delivery_id))] = webhook_id
            if not under_way:
                return
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                del under_way[task]
                task.result()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def take_due(most: int, busy: Mapping[uuid.UUID, int] | None = None) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """The ids of deliveries that are due and of their webhooks. They are this process's for `LEASE`. `busy`: how many
    are under way for a webhook.
    """
    counts = Counter(busy or {})
    full = [webhook for webhook, count in counts.items() if count >= PER_WEBHOOK]
    with transaction.atomic():
        due = WebhookDelivery.objects.filter(
            Q(webhook__owner=None) | Q(webhook__owner__is_active=True), state=DeliveryState.PENDING,
            next_attempt_at__lte=timezone.now(), webhook__enabled=True,
        )  # fmt: skip
        due = due.exclude(webhook__in=full).select_for_update(skip_locked=True, of=("self",))
        taken: list[tuple[uuid.UUID, uuid.UUID]] = []
        for pair in due.order_by("next_attempt_at").values_list("pk", "webhook_id")[: most * PER_WEBHOOK]:
            if len(taken) < most and counts[pair[1]] < PER_WEBHOOK:
                counts[pair[1]] += 1
                taken.append(pair)
        rows = WebhookDelivery.objects.filter(pk__in=[pk for pk, _webhook in taken])
        rows.update(next_attempt_at=timezone.now() + LEASE, attempts=F("attempts") + 1)
    return taken


async def _deliver(delivery_id: uuid.UUID) -> None:
    found = await in_db(_prepare, delivery_id)
    if found is None:
        return
    request, problem = found
    began = time.monotonic()
    if request is None:
        attempt = Attempt(None, 0, problem)
    else:
        try:
            response = await fetch(request)
            attempt = Attempt(response.status, _ms(began), "" if response.status < 300 else f"HTTP {response.status}")
        except FetchError as error:
            attempt = Attempt(None, _ms(began), f"{error.reason}: {error}")
    await in_db(note_attempt, delivery_id, attempt)


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _prepare(delivery_id: uuid.UUID) -> tuple[FetchRequest | None, str] | None:
    """The request, or why there is none; None if the delivery is gone."""
    row = WebhookDelivery.objects.select_related("webhook").filter(pk=delivery_id).first()
    if row is None:
        return None
    try:
        secrets = row.webhook.read_secrets()
    except UnreadableError:
        return None, "secret: It cannot be decrypted. Renew it."
    body = read_payload(row)
    request = FetchRequest(
        row.webhook.url, method="POST", headers=headers_of(row, body, secrets), body=body, max_bytes=READ_BYTES,
        seconds=settings.WEBHOOK_SECONDS, cut=True, redirects=0,
    )  # fmt: skip
    return request, ""


def note_attempt(delivery_id: uuid.UUID, attempt: Attempt) -> None:
    """Writes the attempt into the log, and when the next one is. The last one's failure disables the webhook, if it has
    taken nothing since the event happened; so does HTTP 410 at once.
    """
    with transaction.atomic():
        row = WebhookDelivery.objects.select_for_update(of=("self",)).filter(pk=delivery_id).first()
        if row is None:
            return
        now = timezone.now()
        entry: dict[str, Any] = {"at": now.isoformat(timespec="seconds"), "status": attempt.status, "ms": attempt.ms}
        row.log = [*row.log, {**entry, "error": attempt.error}][-MOST_LOGGED:]
        delays = settings.WEBHOOK_RETRY_SECONDS
        if attempt.succeeded:
            row.state = DeliveryState.DELIVERED
        elif row.attempts > len(delays) or attempt.status == GONE:
            row.state = DeliveryState.FAILED
        else:
            seconds = delays[row.attempts - 1] * random.uniform(1, 1 + JITTER)
            row.next_attempt_at = now + timedelta(seconds=seconds)
        row.save(update_fields=["state", "log", "next_attempt_at"])
        if attempt.succeeded:
            Webhook.objects.filter(pk=row.webhook_id).update(succeeded_at=now)
    logger.info(
        "webhook_sent" if attempt.succeeded else "webhook_failed", delivery=str(delivery_id), status=attempt.status,
        ms=attempt.ms, attempt=row.attempts, webhook_event=row.event,
    )  # fmt: skip
    if row.state == DeliveryState.FAILED:
        why = "The address answered 410 Gone." if attempt.status == GONE else "Its deliveries failed for too long."
        disable_webhook(row.webhook_id, why, unless_success_since=None if attempt.status == GONE else row.created_at)
