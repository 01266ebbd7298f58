"""The devices that people choose to be notified on: their page, the admin, and what is kept of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Session, User
from chat.models import PushSubscription
from chat.notifications.devices import MOST_DEVICES, devices_of
from chat.notifications.keys import may_send_to, public_key
from chat.portability.export import export_user_data
from chat.protocol.errors import Invalid
from chat.retention import erasure, purge
from tests.fakes.push_service import PushBrowser
from tests.fixtures.notified import make_device, make_session
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
ENDPOINT = "https://fcm.googleapis.com/fcm/send/secret-of-this-browser"
PAGE = "/accounts/notifications/"


def fields(browser: PushBrowser, **changed: str) -> dict[str, str]:
    return {"endpoint": ENDPOINT, "p256dh": browser.p256dh, "auth": browser.auth, **changed}


def add(client: Client, **changed: str) -> Any:
    return client.post(f"{PAGE}add/", fields(PushBrowser(), **changed))


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [
        (ENDPOINT, True),
        ("https://updates.push.services.mozilla.com/wpush/v2/x", True),
        ("https://web.push.apple.com/x", True),
        ("https://fcm.googleapis.com:443/x", True),
        ("https://fcm.googleapis.com:8443/x", False),
        ("http://fcm.googleapis.com/x", False),
        ("https://fcm.googleapis.com.evil.example/x", False),
        ("https://evilpush.apple.com/x", False),
        ("https://push.apple.com/x", False),
        ("https://user:pass@fcm.googleapis.com/x", False),
        ("https://fcm.googleapis.com@169.254.169.254/x", False),
        ("https://127.0.0.1/x", False),
        ("file:///etc/passwd", False),
        ("https://fcm.googleapis.com:99999/x", False),
        ("", False),
    ],
)
def test_where_notifications_may_go(endpoint: str, allowed: bool) -> None:
    assert may_send_to(endpoint) is allowed


def test_a_device_is_added_shown_and_removed(alice: User) -> None:
    client = logged_in(alice)
    assert public_key() in client.get(PAGE).content.decode()
    assert add(client, with_text="1").status_code == 200
    [row] = devices_of(alice.pk)
    assert (row.host, row.with_text) == ("fcm.googleapis.com", True)
    page = client.get(PAGE).content.decode()
    assert "this browser" in page
    assert "secret-of-this-browser" not in page
    assert "secret-of-this-browser" not in str(row)
    client.post(f"{PAGE}{row.pk}/text/", {"with_text": "0"})
    row.refresh_from_db()
    assert not row.with_text
    assert client.post(f"{PAGE}{row.pk}/remove/").status_code == 302
    assert not PushSubscription.objects.exists()


def test_the_same_browser_keeps_its_place(alice: User, bob: User) -> None:
    client = logged_in(alice)
    add(client)
    add(client)
    add(client, endpoint=f"{ENDPOINT}-renewed")
    assert PushSubscription.objects.count() == 1, "one of a session"
    add(logged_in(bob), endpoint=f"{ENDPOINT}-renewed")
    assert [row.user for row in PushSubscription.objects.all()] == [bob], "who uses the browser now"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"endpoint": "https://10.0.0.1/x"}, "not supported"),
        ({"endpoint": "https://fcm.googleapis.com/" + "x" * 2_000}, "not supported"),
        ({"p256dh": "AAAA"}, "keys are invalid"),
        ({"p256dh": "%%%"}, "keys are invalid"),
        ({"auth": ""}, "keys are invalid"),
    ],
)
def test_refused(alice: User, changed: dict[str, str], words: str) -> None:
    answer = add(logged_in(alice), **changed)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert words in answer.json()["message"]
    assert not PushSubscription.objects.exists()


def test_switched_off(alice: User, settings: Any) -> None:
    settings.PUSH_HOSTS = []
    client = logged_in(alice)
    assert "switched off" in client.get(PAGE).content.decode()
    assert add(client).status_code == 400


def test_not_of_others(alice: User, mallory: User) -> None:
    device = make_device(alice, PushBrowser(), ENDPOINT)
    theirs = logged_in(mallory)
    for path in ("text", "remove"):
        assert theirs.post(f"{PAGE}{device.pk}/{path}/", {"with_text": "1"}).status_code == 404
    assert theirs.get(PAGE).content.decode().count("Chrome on Linux") == 0
    assert Client().get(PAGE).status_code == 302
    assert Client().post(f"{PAGE}add/", fields(PushBrowser())).status_code == 302
    device.refresh_from_db()
    assert not device.with_text


def test_so_many_at_most(alice: User) -> None:
    for number in range(MOST_DEVICES + 3):
        make_device(alice, PushBrowser(), f"{ENDPOINT}{number}", name=str(number))
    assert PushSubscription.objects.count() == MOST_DEVICES
    assert not PushSubscription.objects.filter(endpoint=f"{ENDPOINT}0").exists(), "the oldest goes"


def test_a_session_that_ended_takes_its_device_along(alice: User) -> None:
    device = make_device(alice, PushBrowser(), ENDPOINT)
    assert purge.count()["devices"] == 0
    Session.objects.filter(hash=device.session_hash).delete()
    assert not devices_of(alice.pk).exists()
    assert purge.count()["devices"] == 1
    list(purge.purge())
    assert not PushSubscription.objects.exists()


def test_export_and_erasure(alice: User) -> None:
    make_device(alice, PushBrowser(), ENDPOINT)
    body = "".join(export_user_data(alice))
    [row] = json.loads(body)["notified_devices"]
    assert (row["device"], row["push_service"], row["shows_text"]) == ("Chrome on Linux", "fcm.googleapis.com", False)
    assert "secret-of-this-browser" not in body
    assert erasure.report(alice)["devices_deleted"] == 1
    erasure.erase(alice)
    assert not PushSubscription.objects.exists()


def test_in_the_admin(bob: User) -> None:
    device = make_device(bob, PushBrowser(), ENDPOINT)
    PushSubscription.objects.update(sent_at=timezone.now())
    root = staff_client(superuser=True)
    address = f"/admin/chat/pushsubscription/{device.pk}"
    for page in ("/admin/chat/pushsubscription/", f"{address}/change/"):
        text = root.get(page).content.decode()
        assert "fcm.googleapis.com" in text
        assert "secret-of-this-browser" not in text
        assert device.auth not in text
    assert root.post(f"{address}/delete/", {"post": "yes"}).status_code == 302
    assert not PushSubscription.objects.exists()
    assert AuditEntry.objects.filter(verb="delete", object_id=str(device.pk)).exists()


def test_only_with_permission(bob: User) -> None:
    device = make_device(bob, PushBrowser(), ENDPOINT)
    viewer = staff_client("view_pushsubscription")
    assert viewer.get("/admin/chat/pushsubscription/").status_code == 200
    assert viewer.post(f"/admin/chat/pushsubscription/{device.pk}/delete/", {"post": "yes"}).status_code == 403
    assert PushSubscription.objects.exists()


def test_keys_of_a_curve_that_they_do_not_fit(alice: User) -> None:
    browser = PushBrowser()
    browser.p256dh = "BA" + "A" * 85
    make_session(alice, "x")
    row = make_device(alice, browser, ENDPOINT)  # a browser could not read it: that is found when it is sent
    from workers.push.sender import encrypt

    with pytest.raises(ValueError, match=r"\w"):
        encrypt(row, b"{}")


def test_who_adds_without_a_session_is_refused(alice: User) -> None:
    browser = PushBrowser()
    with pytest.raises(Invalid):
        make_device(alice, browser, "https://example.org/x")
