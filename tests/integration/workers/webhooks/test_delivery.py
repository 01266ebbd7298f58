"""Events on their way to webhooks: signed, tried again, given up, and nothing said that was not asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import mail
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from accounts.models import AuditEntry, User
from chat.models import DeliveryState, Message, Webhook, WebhookDelivery, WebhookEvent
from chat.webhooks.record import record_event
from tests.fakes.push_service import PushService
from tests.fixtures.quota_rows import end, send, tokens
from workers.webhooks.delivery import LEASE, deliver_due, take_due

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
FINISHED = WebhookEvent.ANSWER_FINISHED
DOCUMENT = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text()


@pytest.fixture(autouse=True)
def near_networks(settings: Any) -> None:
    settings.FETCH_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.WEBHOOK_RETRY_SECONDS = [0.0, 0.0]


@pytest.fixture
def receiver() -> Iterator[PushService]:
    with PushService(status=204) as service:
        yield service


def make_webhook(url: str, *events: str, **fields: Any) -> tuple[Webhook, str]:
    row = Webhook(name=fields.pop("name", "CRM"), url=url, events=list(events) or [FINISHED.value], **fields)
    secret = row.new_secret()
    row.save()
    return row, secret


def deliver() -> None:
    async_to_sync(deliver_due)()


def test_a_signed_event_of_an_answer(alice: User, receiver: PushService) -> None:
    webhook, secret = make_webhook(receiver.url + "/hook?a=1")
    accepted = send(alice, text="What is a crocodile?")
    end(accepted.run_id, tokens(10, 20, "A reptile."))
    deliver()
    [request] = receiver.requests
    assert request.path == "/hook?a=1"
    said = Verifier(secret).verify(request.body, request.headers)
    assert (said["type"], said["data"]["run_id"]) == ("answer.finished", str(accepted.run_id))
    assert (said["data"]["status"], said["data"]["output_tokens"]) == ("done", 20)
    assert "crocodile" not in request.body.decode()
    assert "reptile" not in request.body.decode()
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts, row.log[0]["status"]) == (DeliveryState.DELIVERED, 1, 204)
    assert request.headers["webhook-id"] == str(row.pk)
    webhook.refresh_from_db()
    assert webhook.succeeded_at is not None
    assert secret not in webhook.encrypted_secret
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(request.body + b" ", request.headers)


def test_what_the_document_shows(alice: User, receiver: PushService) -> None:
    """Its code reads an event, and its table has the fields of one."""
    _, secret = make_webhook(receiver.url)
    end(send(alice).run_id, tokens(10, 20, "A reptile."))
    deliver()
    [code] = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {"request": receiver.requests[0]}
    exec(code.replace("whsec_…", secret), found)  # noqa: S102 -- our own document
    [row] = re.findall(r"^\| `answer\.finished` \|[^|]*\| (.*) \|$", DOCUMENT, re.MULTILINE)
    assert set(found["event"]) == {"type", "timestamp", "data"}
    assert set(found["event"]["data"]) == set(re.findall(r"`(\w+)`", row))


def test_texts_only_where_switched_on_and_as_readers_see_them(alice: User, receiver: PushService) -> None:
    make_webhook(receiver.url, with_text=True)
    accepted = send(alice, text="What is a crocodile?")
    end(accepted.run_id, tokens(10, 20, "A reptile."))
    Message.objects.filter(pk=accepted.message_id).update(moderation={"action": "block"})
    deliver()
    data = json.loads(receiver.requests[0].body)["data"]
    assert (data["question"], data["answer"]) == (None, "A reptile.")


def test_the_address_of_a_new_user_is_read_when_it_is_sent(alice: User, receiver: PushService) -> None:
    make_webhook(receiver.url, "user.created", with_text=True)
    record_event(WebhookEvent.USER_CREATED, {"user_id": str(alice.pk), "is_active": True})
    deliver()
    data = json.loads(receiver.requests[0].body)["data"]
    assert (data["email"], data["name"]) == ("alice@example.org", "Alice")
    assert "alice" not in str(WebhookDelivery.objects.values().get())


def test_a_renewed_secret_and_the_one_before_sign(alice: User, receiver: PushService) -> None:
    webhook, old = make_webhook(receiver.url)
    new = webhook.new_secret()
    webhook.save()
    record_event(FINISHED, {"question_id": "x"})
    deliver()
    for secret in (old, new):
        Verifier(secret).verify(receiver.requests[0].body, receiver.requests[0].headers)
    Webhook.objects.update(rotated_at=timezone.now() - timedelta(hours=25))
    record_event(FINISHED, {"question_id": "y"})
    deliver()
    with pytest.raises(WebhookVerificationError):
        Verifier(old).verify(receiver.requests[1].body, receiver.requests[1].headers)


def test_a_failed_attempt_is_repeated_with_the_same_id(receiver: PushService, settings: Any) -> None:
    settings.WEBHOOK_RETRY_SECONDS = [60.0]
    make_webhook(receiver.url)
    receiver.status = 500
    record_event(FINISHED, {"run_id": "1"})
    deliver()
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts, row.log[0]["error"]) == (DeliveryState.PENDING, 1, "HTTP 500")
    assert timedelta(seconds=50) < row.next_attempt_at - timezone.now() < timedelta(seconds=70)
    receiver.status = 200
    WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts, len(row.log)) == (DeliveryState.DELIVERED, 2, 2)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_one_that_takes_nothing_is_disabled_and_staff_are_told(
    alice: User, receiver: PushService, settings: Any
) -> None:  # fmt: skip
    settings.EMAIL_HOST = "mail.example.org"
    webhook, _secret = make_webhook(receiver.url, created_by=alice)
    receiver.status = 503
    record_event(FINISHED, {"run_id": "1"})
    deliver()
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts) == (DeliveryState.FAILED, 3)
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_because) == (False, "Its deliveries failed for too long.")
    assert AuditEntry.objects.get(verb="disable").object_id == str(webhook.pk)
    assert [one.to for one in mail.outbox] == [[alice.email]]
    assert "CRM" in str(mail.outbox[0].body)
    assert record_event(FINISHED, {"run_id": "2"}) == 0


def test_one_that_takes_others_stays_enabled(receiver: PushService) -> None:
    webhook, _secret = make_webhook(receiver.url)
    receiver.status = 503
    record_event(FINISHED, {"run_id": "1"})
    Webhook.objects.update(succeeded_at=timezone.now() + timedelta(seconds=1))
    deliver()
    assert WebhookDelivery.objects.get().state == DeliveryState.FAILED
    webhook.refresh_from_db()
    assert webhook.enabled


def test_gone_is_gone(receiver: PushService) -> None:
    webhook, _secret = make_webhook(receiver.url)
    receiver.status = 410
    record_event(FINISHED, {"run_id": "1"})
    deliver()
    webhook.refresh_from_db()
    assert (webhook.enabled, len(receiver.requests)) == (False, 1)


@pytest.mark.parametrize("redirected", [False, True])
def test_internal_networks_are_not_reached(receiver: PushService, settings: Any, redirected: bool) -> None:
    settings.WEBHOOK_RETRY_SECONDS = [60.0]
    if redirected:
        receiver.status, receiver.headers = 307, {"location": "http://127.0.0.1:1/"}
    else:
        settings.FETCH_ALLOWED_NETWORKS = []
    make_webhook(receiver.url)
    record_event(FINISHED, {"run_id": "1"})
    deliver()
    assert len(receiver.requests) == int(redirected)
    error = WebhookDelivery.objects.get().log[0]["error"]
    assert error.startswith("redirects:" if redirected else "refused:"), error


def test_what_a_lost_worker_took_is_sent_by_another(receiver: PushService) -> None:
    make_webhook(receiver.url)
    record_event(FINISHED, {"run_id": "1"})
    assert len(take_due(10)) == 1  # and the worker is lost
    assert take_due(10) == []
    deliver()
    assert receiver.requests == []
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() + LEASE - LEASE)
    deliver()
    assert len(receiver.requests) == 1


def test_while_disabled_events_wait(receiver: PushService) -> None:
    make_webhook(receiver.url)
    record_event(FINISHED, {"run_id": "1"})
    Webhook.objects.update(enabled=False)
    deliver()
    assert receiver.requests == []
    Webhook.objects.update(enabled=True)
    deliver()
    assert len(receiver.requests) == 1
