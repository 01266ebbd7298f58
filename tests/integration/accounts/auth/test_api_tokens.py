"""Tokens in the settings: created after the password was entered again, shown once, stored hashed, revoked."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.auth.api_tokens import (
    DayUsedUpError,
    RefusedAccess,
    TokenAccess,
    TooManyTokensError,
    count_answers,
    create_token,
    find_access,
)
from accounts.models import ApiToken, AuditEntry, Plan, SiteSettings, TermsAcceptance, TokenScope, User
from tests.conftest import PASSWORD
from tests.fixtures.people import logged_in, staff_client
from tests.integration.accounts.auth.test_sign_up_and_log_in import log_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
NEW, LIST = "/accounts/tokens/new/", "/accounts/tokens/"
FORM = {"name": "My script", "scopes": ["chat"], "days": "30", "per_minute": "", "daily_requests": "5"}


@pytest.fixture
def page(alice: User) -> Client:
    """A browser in which Alice has entered her password again."""
    client = Client()
    log_in(client, alice.email)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": NEW})
    return client


def secret_in(html: str) -> str:
    found = re.search(r'value="(ant_[^"]+)"', html)
    assert found is not None
    return found[1]


def test_a_token_is_shown_once_and_stored_as_a_hash(alice: User, page: Client, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    made = page.post(NEW, {**FORM, "per_minute": "30"})
    secret = secret_in(made.content.decode())
    assert "no-store" in made["Cache-Control"]
    row = ApiToken.objects.get()
    assert (row.user, row.name, row.scopes, row.daily_requests) == (alice, "My script", ["chat"], 5)
    assert row.expires_at is not None
    assert timedelta(days=29) < row.expires_at - timezone.now() < timedelta(days=31)
    assert secret.split("_", 2)[2] not in str(ApiToken.objects.values().get())
    listed = page.get(LIST).content.decode()
    assert "My script" in listed
    assert "30 requests per minute" in listed
    assert "5 answers per day" in listed
    assert row.prefix in listed
    assert secret not in listed
    [entry] = AuditEntry.objects.filter(verb="api_token_created")
    assert (entry.actor, entry.details) == (alice, f"{row.prefix}: chat")
    assert secret not in str(AuditEntry.objects.values())
    [sent] = mail.outbox
    assert (sent.to, sent.subject) == ([alice.email], "[Antiphon] An API token was created for your account")
    assert row.prefix in sent.body
    assert secret not in sent.body


def test_loading_the_page_with_the_secret_again_creates_no_second_one(page: Client) -> None:
    found = re.search(r'name="form_id" value="([^"]+)"', page.get(NEW).content.decode())
    assert found is not None
    form = {**FORM, "form_id": found[1]}
    secret_in(page.post(NEW, form).content.decode())
    assert page.post(NEW, form)["Location"] == LIST
    assert ApiToken.objects.count() == 1
    again = re.search(r'name="form_id" value="([^"]+)"', page.get(NEW).content.decode())
    assert again is not None
    secret_in(page.post(NEW, {**FORM, "form_id": again[1]}).content.decode())
    assert ApiToken.objects.count() == 2


def test_creating_one_needs_the_password_again(alice: User) -> None:
    client = logged_in(alice)
    for answer in (client.get(NEW), client.post(NEW, FORM)):
        assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiToken.objects.exists()


def test_what_a_token_gives_access_to(alice: User) -> None:
    _, secret = create_token(alice, "x", ["chat", "unknown"], days=1, rate="5/m")
    access = find_access(secret)
    assert isinstance(access, TokenAccess)
    assert (access.user_id, access.rate) == (alice.pk, "5/m")
    assert access.may(TokenScope.CHAT)
    assert not access.may(TokenScope.MODELS)
    for other in (
        "",
        "ant_",
        secret[:-1],
        secret[:-1] + ("a" if secret[-1] != "a" else "b"),
        secret + "a",
        secret.upper(),
    ):
        assert find_access(other) is None, other
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert find_access(secret) == RefusedAccess("inactive")
    User.objects.filter(pk=alice.pk).update(is_active=True)
    ApiToken.objects.update(expires_at=timezone.now())
    assert find_access(secret) == RefusedAccess("expired")
    ApiToken.objects.update(expires_at=None, revoked_at=timezone.now())
    assert find_access(secret) == RefusedAccess("revoked")


def test_the_last_use_is_written_once_a_minute(alice: User, django_assert_num_queries: Any) -> None:
    _, secret = create_token(alice, "x", ["chat"], days=None)
    with django_assert_num_queries(2):
        find_access(secret)
    with django_assert_num_queries(1):
        find_access(secret)
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    with django_assert_num_queries(2):
        find_access(secret)


def test_terms_are_accepted_first(alice: User) -> None:
    _, secret = create_token(alice, "x", ["chat"], days=None)
    SiteSettings.objects.update_or_create(pk=1, defaults={"terms": "Be kind.", "terms_version": 3})
    assert find_access(secret) == RefusedAccess("terms")
    TermsAcceptance.objects.create(user=alice, version=3)
    assert isinstance(find_access(secret), TokenAccess)


def test_how_many_a_user_may_have(alice: User, page: Client, settings: Any) -> None:
    settings.API_TOKENS = 2
    rows = [create_token(alice, "x", ["chat"], days=1)[0] for _ in range(2)]
    with pytest.raises(TooManyTokensError):
        create_token(alice, "x", ["chat"], days=1)
    assert "at most 2 working tokens" in page.post(NEW, FORM).content.decode()
    ApiToken.objects.filter(pk=rows[0].pk).update(expires_at=timezone.now())
    create_token(alice, "x", ["chat"], days=1)
    Plan.objects.filter(is_default=True).update(api_tokens=0)
    assert "Your plan has no API tokens." in page.post(NEW, FORM).content.decode()


def test_answers_of_a_day(alice: User) -> None:
    row, _ = create_token(alice, "x", ["chat"], days=1, daily_requests=2)
    count_answers(row.pk)
    count_answers(row.pk)
    with pytest.raises(DayUsedUpError) as full:
        count_answers(row.pk)
    assert 0 < full.value.retry_after <= 86_400
    ApiToken.objects.update(day=timezone.now().date() - timedelta(days=1))
    count_answers(row.pk)
    row.refresh_from_db()
    assert row.day_count == 1


def test_revoking(alice: User, bob: User, page: Client) -> None:
    mine, secret = create_token(alice, "x", ["chat"], days=1)
    others, _ = create_token(bob, "x", ["chat"], days=1)
    assert page.post(f"{LIST}{others.pk}/revoke/").status_code == 404
    assert page.post(f"{LIST}{mine.pk}/revoke/")["Location"] == LIST
    assert find_access(secret) == RefusedAccess("revoked")
    assert ApiToken.objects.get(pk=others.pk).revoked_at is None
    assert AuditEntry.objects.get(verb="api_token_revoked").details == mine.prefix


def test_staff_list_and_revoke(alice: User) -> None:
    row, secret = create_token(alice, "x", ["chat"], days=1)
    action = {"action": "revoke", "_selected_action": [str(row.pk)]}
    viewer = staff_client("view_apitoken")
    shown = viewer.get("/admin/accounts/apitoken/").content.decode()
    assert row.prefix in shown
    assert secret not in shown
    viewer.post("/admin/accounts/apitoken/", action)
    assert isinstance(find_access(secret), TokenAccess)
    sam = User.objects.get(email="sam@example.org")
    sam.is_superuser = True
    sam.save()
    logged_in(sam).post("/admin/accounts/apitoken/", action)
    assert find_access(secret) == RefusedAccess("revoked")
    assert AuditEntry.objects.get(verb="revoke", object_id=str(row.pk)).actor == sam


def test_the_command(alice: User, bob: User, capsys: pytest.CaptureFixture[str]) -> None:
    mine, secret = create_token(alice, "x", ["chat"], days=1)
    create_token(bob, "y", ["chat"], days=1)
    call_command("api_tokens", "list", "--user", alice.email)
    assert capsys.readouterr().out.split()[:2] == [mine.prefix, "working"]
    call_command("api_tokens", "revoke", mine.prefix)
    assert find_access(secret) == RefusedAccess("revoked")
    assert ApiToken.objects.filter(revoked_at=None).count() == 1


def test_a_site_without_the_api(alice: User, page: Client, settings: Any) -> None:
    settings.API_ENABLED = False
    assert page.get(LIST).status_code == page.get(NEW).status_code == 404
    assert "View tokens" not in page.get("/accounts/settings/keys/").content.decode()
    settings.API_ENABLED = True
    assert "View tokens" in page.get("/accounts/settings/keys/").content.decode()
