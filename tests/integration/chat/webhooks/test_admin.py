"""Webhooks in the admin: the secret is shown once, deliveries are listed and sent again, others may not."""

from __future__ import annotations

import re

import pytest

from accounts.models import AuditEntry
from chat.models import DeliveryState, Webhook, WebhookDelivery, WebhookEvent
from tests.fixtures.people import staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
NEW = "/admin/chat/webhook/add/"
FORM = {"name": "CRM", "url": "https://crm.example.org/hook", "enabled": "on", "events": ["answer.finished"]}
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


def test_the_secret_is_shown_once(client: object) -> None:
    browser = staff_client(superuser=True)
    made = browser.post(NEW, FORM)
    secret = SECRET.search(made.content.decode())
    assert secret is not None
    assert "no-store" in made["Cache-Control"]
    row = Webhook.objects.get()
    assert row.read_secrets() == [secret[0]]
    assert secret[0] not in row.encrypted_secret
    place = f"/admin/chat/webhook/{row.pk}/"
    assert not SECRET.search(browser.get(place + "change/").content.decode())
    renewed = browser.post(place + "secret/")
    another = SECRET.search(renewed.content.decode())
    assert another is not None
    row.refresh_from_db()
    assert row.read_secrets() == [another[0], secret[0]]
    verbs = AuditEntry.objects.filter(object_type="chat.webhook").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["add", "renew_secret"]


@pytest.mark.parametrize("url", ["ftp://crm.example.org", "https://me:secret@crm.example.org", "nonsense", "https://"])
def test_addresses_that_cannot_be(url: str) -> None:
    browser = staff_client(superuser=True)
    assert browser.post(NEW, {**FORM, "url": url}).status_code == 200
    assert not Webhook.objects.exists()


def test_the_log_and_sending_again() -> None:
    browser = staff_client("view_webhook", "change_webhook", "view_webhookdelivery")
    webhook = Webhook(name="CRM", url="https://crm.example.org", events=["answer.finished"], enabled=False,
                      disabled_because="Its deliveries failed for too long.")  # fmt: skip
    webhook.new_secret()
    webhook.save()
    row = WebhookDelivery.objects.create(
        webhook=webhook, event=WebhookEvent.ANSWER_FINISHED, data={"run_id": "7"}, state=DeliveryState.FAILED,
        attempts=3, log=[{"at": "2026-11-28T12:00:00+00:00", "status": None, "ms": 5, "error": "time: <too slow>"}],
    )  # fmt: skip
    listed = browser.get("/admin/chat/webhookdelivery/").content.decode()
    assert "time: &lt;too slow&gt;" in listed
    assert "time: &lt;too slow&gt;" in browser.get(f"/admin/chat/webhookdelivery/{row.pk}/change/").content.decode()
    browser.post("/admin/chat/webhookdelivery/", {"action": "send_again", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert (row.state, row.attempts, len(row.log)) == (DeliveryState.PENDING, 0, 1)
    assert AuditEntry.objects.filter(verb="resend", object_id=str(row.pk)).exists()
    page = browser.get(f"/admin/chat/webhook/{webhook.pk}/change/").content.decode()
    assert "Its deliveries failed for too long." in page
    browser.post(f"/admin/chat/webhook/{webhook.pk}/change/", FORM)
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_because) == (True, "")


def test_who_only_views_changes_nothing() -> None:
    browser = staff_client("view_webhook", "view_webhookdelivery")
    webhook = Webhook(name="CRM", url="https://crm.example.org", events=["answer.finished"])
    webhook.new_secret()
    webhook.save()
    row = WebhookDelivery.objects.create(webhook=webhook, event="answer.finished", state=DeliveryState.FAILED)
    assert browser.post(f"/admin/chat/webhook/{webhook.pk}/secret/").status_code == 403
    assert browser.post(NEW, FORM).status_code == 403
    browser.post("/admin/chat/webhookdelivery/", {"action": "send_again", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert row.state == DeliveryState.FAILED
    assert browser.get(f"/admin/chat/webhook/{webhook.pk}/change/").status_code == 200
