"""A webhook whose address is slow delays no other one."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from accounts.lib.db import in_db
from chat.models import Webhook, WebhookDelivery, WebhookEvent
from workers.webhooks import delivery
from workers.webhooks.delivery import AT_ONCE, OF_ONE, deliver_due, take_due

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def make_webhook(name: str) -> Webhook:
    row = Webhook(name=name, url=f"https://{name}.example", events=[WebhookEvent.ANSWER_FINISHED.value])
    row.new_secret()
    row.save()
    return row


def make_deliveries(webhook: Webhook, count: int, *, seconds_ago: float) -> set[uuid.UUID]:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    rows = [
        WebhookDelivery(webhook=webhook, event=WebhookEvent.ANSWER_FINISHED, next_attempt_at=at) for _ in range(count)
    ]
    return {row.pk for row in WebhookDelivery.objects.bulk_create(rows)}


def test_one_webhook_has_some_of_the_places() -> None:
    slow, other = make_webhook("slow"), make_webhook("other")
    make_deliveries(slow, 40, seconds_ago=60)
    ids = make_deliveries(other, 3, seconds_ago=1)
    taken = take_due(AT_ONCE)
    assert [webhook for _, webhook in taken].count(slow.pk) == OF_ONE
    assert {one for one, webhook in taken if webhook == other.pk} == ids
    assert take_due(AT_ONCE, {slow.pk: OF_ONE}) == []
    assert len(take_due(AT_ONCE, {slow.pk: OF_ONE - 1})) == 1
    assert take_due(0) == []


def test_a_slow_address_delays_only_what_is_sent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, other = make_webhook("slow"), make_webhook("other")
    stuck = make_deliveries(slow, 3 * OF_ONE, seconds_ago=60)
    waiting = make_deliveries(other, 2 * OF_ONE, seconds_ago=1)
    sent: list[uuid.UUID] = []

    async def deliver() -> None:
        answers, all_of_other = asyncio.Event(), asyncio.Event()

        async def send(delivery_id: uuid.UUID) -> None:
            if delivery_id in stuck:
                await answers.wait()
            sent.append(delivery_id)
            if waiting <= set(sent):
                all_of_other.set()

        monkeypatch.setattr(delivery, "_send", send)
        working = asyncio.create_task(deliver_due())
        async with asyncio.timeout(20):
            await all_of_other.wait()
            assert set(sent) == waiting
            # Nor does what happens now wait for it.
            all_of_other.clear()
            late = await in_db(lambda: make_deliveries(other, 1, seconds_ago=0))
            waiting.update(late)
            await deliver_due()
            await all_of_other.wait()
            answers.set()
            await working

    async_to_sync(deliver)()
    assert set(sent) == stuck | waiting
    assert len(sent) == len(set(sent))


def test_what_goes_wrong_with_one_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = make_deliveries(make_webhook("one"), 6, seconds_ago=1)
    sent: list[uuid.UUID] = []

    async def send(delivery_id: uuid.UUID) -> None:
        if not sent:
            sent.append(delivery_id)
            raise RuntimeError("unexpected")
        sent.append(delivery_id)

    monkeypatch.setattr(delivery, "_send", send)
    async_to_sync(deliver_due)()
    assert set(sent) == ids
