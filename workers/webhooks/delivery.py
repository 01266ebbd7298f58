"""Takes the deliveries that are due, sends each, and notes how it went.

A delivery that is taken becomes due again after `LEASE`: whatever ends this process, another one sends it. So a
receiver may get an event twice, with the same `webhook-id`.

One webhook has `OF_ONE` of the `AT_ONCE` places, so one that is slow, however much waits for it, delays no other.
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

AT_ONCE: Final = 16  # deliveries of this process
OF_ONE: Final = 4  # of them to one webhook
LEASE: Final = timedelta(seconds=90)
JITTER: Final = 0.1
GONE: Final = 410
MOST_LOGGED: Final = 30  # attempts, with those that staff ask for
READ_BYTES: Final = 4096  # of a response, which is not stored

logger = structlog.get_logger(__name__)
_woken: asyncio.Event | None = None  # while this process sends: looks again for what is due


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
    global _woken
    if _woken is not None:
        _woken.set()
        return
    _woken = asyncio.Event()
    sending: dict[asyncio.Task[None], uuid.UUID] = {}  # the webhook of each
    try:
        while True:
            _woken.clear()
            for delivery_id, webhook_id in await in_db(take_due, AT_ONCE - len(sending), Counter(sending.values())):
                sending[asyncio.create_task(_deliver(delivery_id))] = webhook_id
            if not sending:
                if _woken.is_set():
                    continue
                return
            for task in await _first_ended(sending, _woken):
                del sending[task]
    except OUTAGE as error:
        logger.warning("webhooks_not_sent", error=type(error).__name__, note="they are sent later")
    finally:
        _woken = None


async def _first_ended(
    sending: Mapping[asyncio.Task[None], uuid.UUID], woken: asyncio.Event
) -> set[asyncio.Task[None]]:
    """The deliveries that have ended, once there is one; none if something new may be due before."""
    waking = asyncio.create_task(woken.wait())
    ended, _ = await asyncio.wait({*sending, waking}, return_when=asyncio.FIRST_COMPLETED)
    waking.cancel()
    return {task for task in sending if task in ended}


def take_due(most: int, under_way: Mapping[uuid.UUID, int] | None = None) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """(delivery, webhook) of at most `most` deliveries that are due, which are this process's for `LEASE`.

    At most `OF_ONE` of a webhook, with those that are `under_way`.
    """
    counts = Counter(under_way or {})
    taken: list[tuple[uuid.UUID, uuid.UUID]] = []
    with transaction.atomic():
        while (free := most - len(taken)) > 0:
            full = [webhook_id for webhook_id, count in counts.items() if count >= OF_ONE]
            due = WebhookDelivery.objects.filter(
                Q(webhook__owner=None) | Q(webhook__owner__is_active=True), state=DeliveryState.PENDING,
                next_attempt_at__lte=timezone.now(), webhook__enabled=True,
            ).exclude(webhook__in=full).exclude(pk__in=[delivery_id for delivery_id, _ in taken])  # fmt: skip
            due = due.select_for_update(skip_locked=True, of=("self",)).order_by("next_attempt_at")
            found = list(due.values_list("pk", "webhook_id")[:free])
            for delivery_id, webhook_id in found:
                if counts[webhook_id] < OF_ONE:
                    counts[webhook_id] += 1
                    taken.append((delivery_id, webhook_id))
            if len(found) < free:
                break
        rows = WebhookDelivery.objects.filter(pk__in=[delivery_id for delivery_id, _ in taken])
        rows.update(next_attempt_at=timezone.now() + LEASE, attempts=F("attempts") + 1)
    return taken


async def _deliver(delivery_id: uuid.UUID) -> None:
    """Sends one. Raises nothing: what goes wrong here is due again after `LEASE`."""
    try:
        await _send(delivery_id)
    except OUTAGE as error:
        logger.warning("webhooks_not_sent", error=type(error).__name__, note="they are sent later")
    except Exception:
        logger.exception("webhook_crashed", delivery=str(delivery_id))


async def _send(delivery_id: uuid.UUID) -> None:
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
