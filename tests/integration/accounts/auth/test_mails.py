"""Mails are our own, under the site's name and origin; without a mail server no page says that one was sent."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("clean_redis", "db")
CONSOLE = "django.core.mail.backends.console.EmailBackend"


def logged_in(user: User) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def test_a_reset_is_mailed_under_the_site_s_name_and_origin(alice: User, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    for email in (alice.email, "nobody@example.org"):
        Client().post("/accounts/password/reset/", {"email": email})
    known, unknown = mail.outbox
    assert known.subject == "[Antiphon] Reset your password"
    assert "https://chat.example.org/accounts/password/open/#" in str(known.body)
    for message in (known, unknown):
        assert "testserver" not in str(message.body)
        assert "example.com" not in str(message.body)
        assert str(message.body).rstrip().endswith("Antiphon\nhttps://chat.example.org")
    assert "There is no account with this address." in str(unknown.body)


def test_a_confirmation_is_mailed_in_our_words(settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    form = {"email": "new@example.org", "password1": "quite another battery"}
    page = Client().post("/accounts/signup/", form, follow=True)
    assert "Check your email" in page.content.decode()
    [message] = mail.outbox
    assert message.subject == "[Antiphon] Confirm your email address"
    assert str(message.body).startswith("Welcome to Antiphon. Open this link to confirm your email address:\n\n")
    assert "http://testserver/accounts/confirm-email/" in str(message.body)


def test_a_change_is_reported_in_our_words(alice: User, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    client = logged_in(alice)
    new = "quite another battery"
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    [message] = mail.outbox
    assert message.subject == "[Antiphon] Your password has been changed"
    assert "If this wasn’t you, reset your password now" in str(message.body)


@pytest.mark.parametrize(
    "path",
    [
        *("/accounts/password/reset/", "/accounts/password/reset/done/", "/accounts/confirm-email/"),
        "/accounts/email/",
    ],
)
def test_without_a_mail_server_nothing_was_sent(alice: User, settings: Settings, path: str) -> None:
    settings.EMAIL_HOST = ""
    settings.EMAIL_BACKEND = CONSOLE
    client = logged_in(alice) if path == "/accounts/email/" else Client()
    page = client.get(path).content.decode()
    assert "Ask an administrator" in page
    assert "sent" not in page.lower().replace("consent", "")
    assert "Check your email" not in page


def test_the_email_page_says_what_is_true_after_sign_up(client: Client) -> None:
    client.post("/accounts/signup/", {"email": "new@example.org", "password1": "quite another battery"})
    assert mail.outbox == []
    page = client.get("/accounts/email/").content.decode()
    assert "You log in as new@example.org." in page
    assert "This address isn’t confirmed yet." in page
    assert "we sent" not in page
    client.post("/accounts/reauthenticate/", {"password": "quite another battery"})
    response = client.post("/accounts/email/", {"email": "other@example.org", "action_add": ""})
    assert response["Location"] == "/accounts/email/"
    assert [message.to for message in mail.outbox] == [["other@example.org"]]
    page = client.get("/accounts/email/").content.decode()
    assert f"You log in as {User.objects.get().email}." in page
    assert "isn’t confirmed yet" in page or "To switch to other@example.org, open the confirmation link" in page


@pytest.mark.parametrize(
    "path",
    ["/", "/accounts/login/", "/accounts/signup/", "/accounts/settings/", "/offline/", "/nowhere/", "/admin/login/"],
)
def test_every_page_is_english_where_the_browsers_language_is_not_offered(alice: User, path: str) -> None:
    client = Client() if path.endswith(("login/", "signup/")) else logged_in(alice)
    response = client.get(path, headers={"accept-language": "nl-NL,nl;q=0.9"}, follow=True)
    dutch, english = response.content.decode(), client.get(path, follow=True).content.decode()
    assert '<html lang="en"' in dutch
    for word in ("Wachtwoord", "E-mailadres", "Aanmelden", "Inloggen"):
        assert word not in dutch
    assert dutch.count(" ") == english.count(" ")
