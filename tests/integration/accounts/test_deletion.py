"""A user deletes their account, and keeps it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import erasure
from accounts.models import AuditEntry, Session, User
from chat.models import Conversation, Member, Message
from chat.retention.erasure import erase_due
from tests.conftest import PASSWORD, make_user
from tests.fixtures.people import logged_in
from tests.integration.accounts.auth.test_sign_up_and_log_in import log_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
PAGE = "/accounts/delete/"


def confirmed(user: User) -> Client:
    """A browser in which the password was entered once more of late."""
    client = Client()
    log_in(client, user.email)
    assert client.get(PAGE)["Location"].startswith("/accounts/reauthenticate/")
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": PAGE})["Location"] == PAGE
    return client


@pytest.fixture
def client_of(alice: User) -> Client:
    return confirmed(alice)


def shared(alice: User, other: User, title: str, *, owners: bool = False) -> Conversation:
    conversation = Conversation.objects.create(title=title)
    Member.objects.create(conversation=conversation, user=alice, role="owner")
    Member.objects.create(conversation=conversation, user=other, role="owner" if owners else "viewer")
    Message.objects.create(conversation=conversation, role="user", author=alice, text="Secret words")
    return conversation


def test_what_happens_is_said_before(alice: User, bob: User, client_of: Client, settings: Any) -> None:
    settings.ERASE_GRACE_DAYS = 7
    shared(alice, bob, "Ours")
    shared(alice, bob, "Bob owns it too", owners=True)
    Member.objects.create(conversation=Conversation.objects.create(title="Mine"), user=alice, role="owner")
    text = re.sub(r"<[^>]+>|\s+", " ", client_of.get(PAGE).content.decode())
    text = re.sub(r"\s+", " ", text)
    assert "After 7 days everything is erased for good" in text
    assert "1 conversation of yours alone" in text
    assert "2 shared conversations stay with their other members" in text
    assert "The text of your 2 messages in them is erased" in text
    assert "You are the last owner of 1 of them" in text
    assert "Ours : Bob" in text
    assert "Bob owns it too" not in text


def test_it_is_erased_after_days(alice: User, bob: User, client_of: Client, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.ERASE_GRACE_DAYS = 3
    ours = shared(alice, bob, "Ours")
    other = logged_in(alice)
    gone = client_of.post(PAGE)
    assert gone["Location"] == "/accounts/delete/done/"
    assert "log in if you want to keep the account" in client_of.get(gone["Location"]).content.decode()
    alice.refresh_from_db()
    assert (alice.is_active, alice.erase_asked) == (False, True)
    assert timedelta(days=2, hours=23) < alice.erase_at - timezone.now() <= timedelta(days=3)  # type: ignore[operator]
    assert not Session.objects.filter(user=alice).exists()
    assert other.get("/")["Location"].startswith("/accounts/login/")
    [sent] = mail.outbox
    assert sent.to == ["alice@example.org"]
    assert "deleted from its settings" in sent.body
    assert AuditEntry.objects.filter(verb="delete_account", object_id=str(alice.pk)).exists()
    root = logged_in(User.objects.create_superuser("root@example.org", "x"))
    assert "The user asked for it" in root.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert erase_due() == 0
    User.objects.filter(pk=alice.pk).update(erase_at=timezone.now())
    assert erase_due() == 1
    assert not User.objects.filter(pk=alice.pk).exists()
    assert Member.objects.get(conversation=ours).role == "owner"
    assert Message.objects.get(conversation=ours).text == "(erased)"


def test_a_log_in_offers_to_keep_it(alice: User, client_of: Client, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    client_of.post(PAGE)
    client = Client()
    assert client.get("/accounts/delete/keep/")["Location"] == "/accounts/login/", "not without the password"
    wrong = client.post("/accounts/login/", {"login": alice.email, "password": "wrong"})
    assert wrong.status_code == 200
    assert client.get("/accounts/delete/keep/").status_code == 302
    assert log_in(client, alice.email)["Location"] == "/accounts/delete/keep/"
    assert "Keep your account?" in client.get("/accounts/delete/keep/").content.decode()
    assert client.post("/accounts/delete/keep/")["Location"] == "/accounts/login/"
    alice.refresh_from_db()
    assert (alice.is_active, alice.erase_asked, alice.erase_at) == (True, False, None)
    assert AuditEntry.objects.filter(verb="keep_account", object_id=str(alice.pk)).exists()
    assert "cancelled" in mail.outbox[-1].body
    assert log_in(client, alice.email)["Location"] == "/"
    assert client.get("/").status_code == 200


def test_what_staff_scheduled_stays(alice: User) -> None:
    erasure.schedule(alice)
    client = Client()
    assert log_in(client, alice.email)["Location"] == "/accounts/inactive/"
    assert client.post("/accounts/delete/keep/")["Location"] == "/accounts/login/"
    alice.refresh_from_db()
    assert alice.erase_at is not None
    assert not erasure.cancel(alice, by_user=True)


def test_a_password_of_long_ago_is_asked_for_again(alice: User) -> None:
    make_user("Root")
    client = logged_in(alice)  # without a password
    assert client.get(PAGE)["Location"].startswith("/accounts/reauthenticate/")
    assert client.post(PAGE)["Location"].startswith("/accounts/reauthenticate/")
    alice.refresh_from_db()
    assert alice.is_active


def test_the_last_administrator_stays(settings: Any) -> None:
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    client = confirmed(root)
    assert "last administrator" in client.post(PAGE, follow=True).content.decode()
    root.refresh_from_db()
    assert (root.is_active, root.erase_at) == (True, None)
