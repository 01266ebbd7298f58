"""Invitations: a link that makes one account, with what its sender may give, and nothing once that is not so."""

from __future__ import annotations

import re
import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import erasure, invitations
from accounts.models import AuditEntry, Invitation, Plan, User
from tests.conftest import PASSWORD
from tests.fixtures.people import logged_in
from tests.integration.accounts.test_roles import member

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]

ADD = "/admin/accounts/invitation/add/"
LIST = "/admin/accounts/invitation/"
ACCEPT = "/accounts/invitation/accept/"
NEW = "new@example.org"


@pytest.fixture(autouse=True)
def _closed(settings: Any) -> None:
    settings.SIGN_UP = "invitation"


def invite(by: User, **form: Any) -> Any:
    return logged_in(by).post(ADD, {"email": NEW, **form})


def link() -> str:
    """The path of the newest mail's link."""
    found = re.search(r"http://testserver(/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def open_link(client: Client) -> Any:
    """What the page of the newest link does: its script posts the fragment."""
    path, _hash, secret = link().partition("#")
    return client.post(path, {"secret": secret})


def take(address: str, **form: Any) -> tuple[Client, Any]:
    """Opens a link as somebody new and fills the form in."""
    client = Client()
    path, _hash, secret = address.partition("#")
    opened = client.post(path, {"secret": secret})
    if opened.status_code != 302:
        return client, opened
    assert opened["Location"] == ACCEPT
    return client, client.post(ACCEPT, {"name": "New", "password1": PASSWORD, **form})


class TestAccepting:
    def test_an_account_with_what_was_promised(self, settings: Any) -> None:
        settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"  # the link is the proof
        gold = Plan.objects.create(name="Gold")
        role = Group.objects.get(name="support")
        ada = member("administrator", "Ada")
        assert invite(ada, email="New@Example.org", plan=gold.pk, role=role.pk).status_code == 302
        assert (mail.outbox[0].to, mail.outbox[0].subject) == ([NEW], "[Antiphon] You’ve been invited to Antiphon")
        client, response = take(link(), email="somebody@else.org")
        assert response.status_code == 302, response.content
        user = User.objects.get(email=NEW)
        assert (user.name, user.plan, user.is_staff, user.is_superuser) == ("New", gold, True, False)
        assert list(user.groups.all()) == [role]
        assert EmailAddress.objects.get(user=user).verified
        assert client.get("/accounts/usage/").status_code == 200  # logged in
        assert client.get("/admin/accounts/user/").status_code == 200
        kept = Invitation.objects.get()
        assert (kept.accepted_by, invitations.state(kept)) == (user, "accepted")
        assert list(AuditEntry.objects.order_by("id").values_list("verb", "actor_email")) == [
            ("invite", ada.email), ("sign_up", NEW), ("login", NEW),
        ]  # fmt: skip
        assert not User.objects.filter(email="somebody@else.org").exists()

    def test_the_page_keeps_the_secret_to_itself(self) -> None:
        invite(member("support"))
        client = Client()
        path, _hash, secret = link().partition("#")
        client.post(path, {"secret": secret})
        page = client.get(ACCEPT)
        assert secret not in page.content.decode()
        assert NEW in page.content.decode()
        assert not Invitation.objects.filter(token_hash=secret).exists()

    def test_once(self) -> None:
        invite(member("support"))
        take(link())
        _client, again = take(link())
        assert again.status_code == 410
        assert User.objects.filter(email=NEW).count() == 1

    def test_opens_nothing_else(self) -> None:
        invite(member("support"))
        client = Client()
        open_link(client)
        response = client.post("/accounts/signup/", {"email": "else@example.org", "password1": PASSWORD})
        assert "Sign-up is closed" in response.content.decode()
        assert not User.objects.filter(email="else@example.org").exists()

    def test_a_weak_password_can_be_mended(self) -> None:
        invite(member("support"))
        client, response = take(link(), password1="short")
        assert response.status_code == 200
        assert client.post(ACCEPT, {"password1": PASSWORD}).status_code == 302

    @pytest.mark.parametrize("token", ["", "x", "'; DROP", "\x00", "a" * 5000])
    def test_no_such_link(self, token: str) -> None:
        assert Client().post("/accounts/invitation/", {"secret": token}).status_code == 410
        assert Client().get(ACCEPT).status_code == 410

    def test_whoever_is_logged_in_logs_out_first(self, alice: User) -> None:
        invite(member("support"))
        response = open_link(logged_in(alice))
        assert "To create another account, log out" in response.content.decode()

    def test_opening_many_is_slowed_down(self) -> None:
        statuses: list[int] = []
        while 429 not in statuses and len(statuses) < 100:  # on a busy machine some are allowed again meanwhile
            statuses.append(Client().post("/accounts/invitation/", {"secret": str(len(statuses))}).status_code)
        assert statuses[0] == 410
        assert statuses[-1] == 429


class TestWorthNothing:
    def left(self, change: Any) -> int:
        invite(self.by, role=Group.objects.get(name="moderator").pk)
        change()
        _client, response = take(link())
        return int(response.status_code)

    @pytest.fixture(autouse=True)
    def _by(self) -> None:
        self.by = member("administrator", "Ada")

    def test_too_old(self) -> None:
        past = timezone.now() - timedelta(seconds=1)
        assert self.left(lambda: Invitation.objects.update(expires_at=past)) == 410

    def test_revoked(self) -> None:
        def revoke() -> None:
            chosen = {"action": "revoke", "_selected_action": [str(Invitation.objects.get().pk)]}
            logged_in(self.by).post(LIST, chosen)

        assert self.left(revoke) == 410

    def test_its_sender_is_switched_off(self) -> None:
        assert self.left(lambda: erasure.disable(self.by)) == 410

    def test_its_sender_may_not_give_that_any_more(self) -> None:
        assert self.left(lambda: self.by.groups.set([Group.objects.get(name="support")])) == 410

    def test_its_sender_is_gone(self) -> None:
        assert self.left(lambda: self.by.delete()) == 410

    def test_nothing_at_all_would_open_it(self) -> None:
        assert self.left(lambda: None) == 302

    def test_taken_back_while_the_form_is_open(self) -> None:
        invite(self.by)
        client = Client()
        open_link(client)
        invitations.revoke(Invitation.objects.get())
        assert client.post(ACCEPT, {"password1": PASSWORD}).status_code == 410
        assert not User.objects.filter(email=NEW).exists()


class TestSending:
    def test_no_more_than_one_may(self) -> None:
        gold, role = Plan.objects.create(name="Gold"), Group.objects.get(name="administrator")
        for by in (member("support", "Cleo"), member("moderator", "Dan"), member("billing", "Bill")):
            invite(by, plan=gold.pk, role=role.pk)
        made = Invitation.objects.get()  # Cleo's: the form did not even have these fields
        assert (made.plan, made.role) == (None, None)
        with pytest.raises(invitations.InvitationError, match="may not assign"):
            invitations.invite(member("support", "Eve"), "x@example.org", None, role)

    def test_who_is_there_or_invited(self, alice: User) -> None:
        sam = member("support")
        assert "already has an account" in invite(sam, email="ALICE@example.org").content.decode()
        invite(sam)
        assert "is already invited" in invite(sam).content.decode()
        assert Invitation.objects.count() == 1
        Invitation.objects.update(expires_at=timezone.now())
        assert invite(sam).status_code == 302  # the old one was too old
        assert sorted(map(invitations.state, Invitation.objects.all())) == ["open", "revoked"]

    def test_again_ends_the_former_link(self) -> None:
        sam = member("support")
        invite(sam)
        first = link()
        chosen = {"action": "send_again", "_selected_action": [str(Invitation.objects.get().pk)]}
        logged_in(sam).post(LIST, chosen)
        assert take(first)[1].status_code == 410
        assert take(link())[1].status_code == 302
        logged_in(sam).post(LIST, chosen)
        assert len(mail.outbox) == 2, "used ones are not sent"

    def test_a_mail_server_that_fails_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any) -> None:
            raise smtplib.SMTPServerDisconnected("no")

        monkeypatch.setattr("django.core.mail.EmailMessage.send", fail)
        sam = logged_in(member("support"))
        page = sam.post(ADD, {"email": NEW}, follow=True).content.decode()
        assert "could not be sent" in page
        assert Invitation.objects.get().mailed_at is None

    def test_without_a_mail_server_the_link_is_shown_and_proves_nothing(self, settings: Any) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
        page = logged_in(member("support")).post(ADD, {"email": NEW}, follow=True).content.decode()
        found = re.search(r"http://testserver(/accounts/invitation/#[\w-]+)", page)
        assert found
        assert take(found[1])[1].status_code == 302
        assert not EmailAddress.objects.get(email=NEW).verified

    def test_rate(self, settings: Any) -> None:
        settings.RATE_INVITATIONS = "2/h"
        sam = member("support")
        for name in "abc":
            last = invite(sam, email=f"{name}@example.org")
        assert "Too many invitations" in last.content.decode()
        assert Invitation.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_account() -> None:
    invite(member("support"))
    clients = [Client(), Client()]
    for client in clients:
        open_link(client)

    def post(client: Client) -> int:
        try:
            return client.post(ACCEPT, {"password1": PASSWORD}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(post, clients))
    assert User.objects.filter(email=NEW).count() == 1
    assert 302 in statuses
    assert max(statuses) < 500
    assert Invitation.objects.get().accepted_by == User.objects.get(email=NEW)
