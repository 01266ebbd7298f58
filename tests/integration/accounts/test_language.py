"""A user's language: their own choice, else the browser's; on pages, in mails and for sockets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.test import Client
from django.utils import translation

from accounts.auth.adapter import AccountAdapter
from accounts.auth.language import language_of
from accounts.auth.tickets import Claims
from accounts.lib.redis import sync_redis
from accounts.models import User

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

GERMAN: Any = {"HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.fixture(autouse=True)
def _languages(settings: Any) -> None:
    """As if these catalogues were complete: Django's own texts are translated in any case."""
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")]


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice@example.org", "correct horse battery")


def shown(client: Client, path: str = "/accounts/settings/", **extra: Any) -> str:
    return client.get(path, **extra).content.decode()


def test_log_in_follows_the_browser(client: Client) -> None:
    response = client.get("/accounts/login/", **GERMAN)
    assert '<html lang="de" dir="ltr">' in response.content.decode()
    assert response["Content-Language"] == "de"
    assert "Accept-Language" in response["Vary"]
    assert '<html lang="en" dir="ltr">' in shown(client, "/accounts/login/", HTTP_ACCEPT_LANGUAGE="nl")


def test_arabic_reads_from_the_right(client: Client) -> None:
    assert '<html lang="ar" dir="rtl">' in shown(client, "/accounts/login/", HTTP_ACCEPT_LANGUAGE="ar")


def test_a_choice_beats_the_browser(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert '<html lang="de"' in shown(client, **GERMAN)
    client.post("/accounts/language/", {"language": "ar"}, **GERMAN)
    assert '<html lang="ar" dir="rtl">' in shown(client, **GERMAN)
    assert 'value="ar" lang="ar" selected' in shown(client, **GERMAN)
    client.post("/accounts/language/", {"language": ""}, **GERMAN)
    assert '<html lang="de"' in shown(client, **GERMAN)


@pytest.mark.parametrize("wrong", ["xx", "en-", "a" * 200])
def test_a_language_that_is_not_offered_is_the_browsers(client: Client, alice: User, wrong: str) -> None:
    client.force_login(alice)
    assert client.post("/accounts/language/", {"language": wrong}).status_code == 302
    alice.refresh_from_db()
    assert alice.language == ""


def test_a_language_that_is_no_longer_offered_does_no_harm(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(language="fr", browser_language="fr")
    alice.refresh_from_db()
    client.force_login(alice)
    assert '<html lang="en"' in shown(client)
    assert language_of(alice) == "en"


def test_the_admin_is_in_english_without_a_catalogue_of_its_own(client: Client, settings: Any) -> None:
    boss = User.objects.create_superuser("boss@example.org", "correct horse battery")
    User.objects.filter(pk=boss.pk).update(language="de")
    client.force_login(boss)
    assert 'lang="de"' in shown(client, "/admin/accounts/user/")
    settings.ADMIN_LANGUAGES = ("en",)
    assert 'lang="en' in shown(client, "/admin/accounts/user/")


def test_the_active_language_ends_with_the_request(client: Client) -> None:
    client.get("/accounts/login/", **GERMAN)
    assert translation.get_language() == django_settings.LANGUAGE_CODE


def test_mails_are_in_the_language_of_whoever_gets_them(alice: User, rf: Any) -> None:
    User.objects.filter(pk=alice.pk).update(language="ar", browser_language="de")
    request = rf.get("/")
    said: list[str | None] = []
    adapter: Any = AccountAdapter(request)

    def note_language(subject: str) -> str:
        said.append(translation.get_language())
        return subject

    adapter.format_email_subject = note_language
    with translation.override("en"):
        adapter.render_mail("account/email/approved", "ALICE@example.org", {"login_url": "/"})
        adapter.render_mail("account/email/approved", "nobody@example.org", {"login_url": "/"})
        User.objects.filter(pk=alice.pk).update(language="")
        adapter.render_mail("account/email/approved", alice.email, {"login_url": "/"})
    assert said == ["ar", "en", "de"]
    assert mail.outbox == []


def test_a_ticket_knows_the_language_of_its_page(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.post("/ws/ticket/", **GERMAN).status_code == 200
    [key] = list(sync_redis().scan_iter("ticket:*"))
    stored: Any = sync_redis().get(key)
    assert msgspec.msgpack.decode(stored, type=Claims).language == "de"
