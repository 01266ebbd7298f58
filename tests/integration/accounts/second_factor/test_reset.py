"""Somebody has lost phone, passkey and codes: staff and operators reset the factor, audited, with a mail."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import AuditEntry, Session, User
from tests.conftest import PASSWORD
from tests.fixtures.one_time_codes import give_app
from tests.fixtures.people import logged_in, make_staff, staff_client

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]


def address(user: User) -> str:
    return f"/admin/accounts/user/{user.pk}/reset-second-factor/"


def wait_for_mail() -> list[Any]:
    """Mails of the log leave in a thread."""
    until = time.monotonic() + 10
    while not mail.outbox and time.monotonic() < until:
        time.sleep(0.02)
    return list(mail.outbox)


def test_by_staff(alice: User) -> None:
    give_app(alice)
    hers = logged_in(alice)
    staff = staff_client("reset_second_factor", "view_user", "change_user")
    assert "Reset second factor" in staff.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    staff.post(address(alice))
    assert not Authenticator.objects.filter(user=alice).exists()
    assert not Session.objects.filter(user=alice).exists()
    assert hers.post("/ws/ticket/").status_code == 403
    entry = AuditEntry.objects.get(verb="reset_second_factor")
    assert (entry.actor_email, entry.object_id) == ("sam@example.org", str(alice.pk))
    [sent] = wait_for_mail()
    assert sent.to == [alice.email]
    assert "removed the second factor" in sent.body
    client = Client()
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert "_auth_user_id" in client.session


def test_not_without_the_permission_nor_of_oneself(alice: User) -> None:
    give_app(alice)
    assert staff_client("view_user", "change_user").post(address(alice)).status_code == 403
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    assert logged_in(User.objects.get(pk=alice.pk)).post(address(alice)).status_code == 403
    assert Authenticator.objects.filter(user=alice).count() == 2


def test_not_from_a_page_that_was_left_open(alice: User) -> None:
    give_app(alice)
    client = Client()
    client.force_login(make_staff("reset_second_factor"))  # nothing says when the password was given
    assert client.post(address(alice))["Location"].startswith("/accounts/reauthenticate/")
    assert Authenticator.objects.filter(user=alice).count() == 2
    done = client.post(f"/accounts/reauthenticate/?next={address(alice)}", {"password": PASSWORD})
    assert done["Location"] == f"/admin/accounts/user/{alice.pk}/change/"
    assert not Authenticator.objects.filter(user=alice).exists(), "the act goes on after the proof"


def test_the_command_mails_the_owner(alice: User, capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    give_app(alice)
    call_command("users", "reset-second-factor", alice.email, "--yes")
    assert "The owner gets a mail." in capsys.readouterr().out
    [sent] = mail.outbox
    assert sent.to == [alice.email]
    assert "removed the second factor" in sent.body


def test_the_command_says_that_no_mail_was_sent(
    alice: User, capsys: pytest.CaptureFixture[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_HOST, backend = "", settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    give_app(alice)
    call_command("users", "reset-second-factor", alice.email, "--yes")
    assert "No mail was sent" in capsys.readouterr().out
    settings.EMAIL_HOST, settings.EMAIL_BACKEND = "mail.example.org", backend
    give_app(alice)

    def fail(_mail: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", fail)
    call_command("users", "reset-second-factor", alice.email, "--yes")
    assert "The mail to the owner failed (ConnectionRefusedError)" in capsys.readouterr().out
    assert not Authenticator.objects.filter(user=alice).exists()


def test_by_command(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    give_app(alice)
    logged_in(alice)
    with pytest.raises(CommandError, match="--yes"):
        call_command("users", "reset-second-factor", alice.email)
    call_command("users", "reset-second-factor", "ALICE@example.org", "--yes")
    assert "Reset" in capsys.readouterr().out
    assert not Authenticator.objects.filter(user=alice).exists()
    assert not Session.objects.filter(user=alice).exists()
    assert AuditEntry.objects.get(verb="reset_second_factor").details == "by command"
    with pytest.raises(CommandError, match="no second factor"):
        call_command("users", "reset-second-factor", alice.email, "--yes")
    with pytest.raises(CommandError, match="no account"):
        call_command("users", "confirm-email", "nobody@example.org")


class TestProofs:
    """Acts of staff that a page left open must not be enough for."""

    @pytest.mark.parametrize("act", ["rights", "address", "password", "erase"])
    def test_is_asked_for(self, act: str, alice: User) -> None:
        client = Client()
        client.force_login(make_staff(superuser=True))
        page = f"/admin/accounts/user/{alice.pk}"
        if act == "rights":
            answer = client.post(f"{page}/change/", {"email": alice.email, "name": "", "is_staff": "on", "reason": "x"})
        elif act == "address":
            answer = client.post(f"{page}/change/", {"email": "other@example.org", "name": "", "reason": "x"})
        elif act == "password":
            client.post(f"{page}/password/", {"password1": "quite another one", "password2": "quite another one"})
            answer = client.get(f"{page}/password/")
        else:
            answer = client.post(f"{page}/erase/", {"email": alice.email, "reason": "x"})
        assert answer["Location"].startswith("/accounts/reauthenticate/"), act
        alice.refresh_from_db()
        assert (alice.is_staff, alice.erase_at, alice.check_password(PASSWORD)) == (False, None, True)
        assert alice.email == "alice@example.org"
        assert "quite another one" not in str(client.session.items())
