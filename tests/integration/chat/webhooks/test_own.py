"""A user's own webhooks: only what concerns them, within the limit, and nobody else's."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from accounts.erasure import disable
from accounts.models import AuditEntry, User
from chat.models import Member, Webhook, WebhookDelivery, WebhookEvent
from chat.webhooks import record
from chat.webhooks.own import OwnWebhookError, create_own
from tests.conftest import PASSWORD
from tests.fixtures.people import logged_in
from tests.fixtures.quota_rows import end, send
from workers.webhooks.delivery import OF_ONE, take_due
from workers.webhooks.payload import read_payload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
URL = "https://hooks.example.org/x"
PAGE = "/accounts/settings/webhooks/"
FORM = {"name": "Mine", "url": URL, "events": ["answer.finished"]}


@pytest.fixture(autouse=True)
def unknown() -> None:
    record.forget_wanted()


def proven(user: User) -> Client:
    """A browser in which the user has entered the password again."""
    browser = Client()
    browser.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": PAGE})
    return browser


def make(user: User, **fields: Any) -> Webhook:
    made, _ = create_own(user, fields.pop("name", "Mine"), URL, ["answer.finished", "quota.reached"], with_text=True)
    return made


def test_only_what_concerns_the_owner(alice: User, bob: User) -> None:
    mine = make(alice)
    end(send(bob).run_id)
    assert not WebhookDelivery.objects.exists()
    accepted = send(alice, text="What is a crocodile?")
    end(accepted.run_id)
    row = WebhookDelivery.objects.select_related("webhook").get()
    assert (row.webhook, row.data["user_id"]) == (mine, str(alice.pk))
    assert "crocodile" in read_payload(row).decode()
    Member.objects.filter(user=alice).delete()  # who has left reads nothing more of it
    assert "crocodile" not in read_payload(row).decode()


def test_events_of_the_site_are_not_for_users(alice: User, bob: User) -> None:
    row = make(alice)
    Webhook.objects.filter(pk=row.pk).update(events=[one.value for one in WebhookEvent])
    record.forget_wanted()
    record.record_event(WebhookEvent.USER_CREATED, {"user_id": str(bob.pk)})
    assert not WebhookDelivery.objects.exists()


def test_a_disabled_owner_gets_nothing(alice: User) -> None:
    make(alice)
    end(send(alice).run_id)
    User.objects.create_superuser("root@example.org", "x")
    disable(alice)
    assert take_due(10) == []


def test_a_slow_one_leaves_room_for_others(alice: User, bob: User) -> None:
    slow, other = make(alice), make(bob)
    for _ in range(OF_ONE + 3):
        WebhookDelivery.objects.create(webhook=slow, event="answer.finished")
    WebhookDelivery.objects.create(webhook=other, event="answer.finished")
    first = take_due(10)
    assert sorted(webhook for _, webhook in first) == sorted([*[slow.pk] * OF_ONE, other.pk])
    assert take_due(10, {slow.pk: OF_ONE}) == []
    assert len(take_due(10, {slow.pk: OF_ONE - 1})) == 1


def test_how_many(alice: User, settings: Any) -> None:
    settings.USER_WEBHOOKS = 2
    make(alice, name="a")
    with pytest.raises(OwnWebhookError, match="name"):
        make(alice, name="a")
    make(alice, name="b")
    with pytest.raises(OwnWebhookError, match="many"):
        make(alice, name="c")
    browser = proven(alice)
    assert "at most 2 webhooks" in browser.post(f"{PAGE}new/", FORM).content.decode()
    settings.USER_WEBHOOKS = 0
    assert browser.get(PAGE).status_code == 404
    assert browser.get(f"{PAGE}new/").status_code == 404


def test_the_pages(alice: User) -> None:
    browser = proven(alice)
    assert "You have no webhooks." in browser.get(PAGE).content.decode()
    shown = browser.post(f"{PAGE}new/", FORM).content.decode()
    row = Webhook.objects.get()
    [secret] = row.read_secrets()
    assert secret in shown
    assert secret not in browser.get(PAGE).content.decode()
    assert URL in browser.get(PAGE).content.decode()
    renewed = browser.post(f"{PAGE}{row.pk}/secret/").content.decode()
    row.refresh_from_db()
    assert row.read_secrets()[0] in renewed
    assert row.read_secrets()[1] == secret
    browser.post(f"{PAGE}{row.pk}/switch/")
    row.refresh_from_db()
    assert not row.enabled
    browser.post(f"{PAGE}{row.pk}/delete/")
    assert not Webhook.objects.exists()
    verbs = set(AuditEntry.objects.values_list("verb", flat=True))
    assert {"webhook_created", "webhook_secret_renewed", "webhook_deleted"} <= verbs


def test_loading_the_page_with_the_secret_again_creates_no_second_one(alice: User) -> None:
    browser = proven(alice)
    found = re.search(r'name="form_id" value="([^"]+)"', browser.get(f"{PAGE}new/").content.decode())
    assert found is not None
    form = {**FORM, "form_id": found[1]}
    browser.post(f"{PAGE}new/", form)
    assert browser.post(f"{PAGE}new/", {**form, "name": "Another"})["Location"] == PAGE
    assert [one.name for one in Webhook.objects.all()] == ["Mine"]


def test_the_password_is_asked_for_first(alice: User) -> None:
    browser = Client()
    browser.force_login(alice)
    assert "/reauthenticate/" in browser.get(f"{PAGE}new/")["Location"]


@pytest.mark.parametrize("url", ["ftp://x.example.org/", "x", "https://a:b@x.example.org/", "https://x.example.org/ y"])
def test_addresses(alice: User, url: str) -> None:
    browser = proven(alice)
    assert browser.post(f"{PAGE}new/", {**FORM, "url": url}).status_code == 200
    assert not Webhook.objects.exists()


def test_nobody_elses(alice: User, bob: User) -> None:
    row = make(alice)
    site = Webhook(name="site", url=URL)
    site.new_secret()
    site.save()
    for browser, status in ((proven(bob), 404), (Client(), 302)):
        for one in (row, site):
            for verb in ("switch", "secret", "delete"):
                assert browser.post(f"{PAGE}{one.pk}/{verb}/").status_code == status
        assert browser.get(PAGE).status_code == (200 if status == 404 else 302)
    assert "Mine" not in logged_in(bob).get(PAGE).content.decode()
    assert Webhook.objects.filter(enabled=True).count() == 2
