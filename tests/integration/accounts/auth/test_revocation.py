"""Whatever ends a session closes its sockets: each trigger is seen by who listens to the session's or user's group."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry
from structlog.testing import capture_logs

from accounts.auth import revocation
from accounts.auth.revocation import end_all_sessions, end_session, session_group, session_hash, user_group
from accounts.auth.sessions import still_valid
from accounts.auth.tickets import consume_ticket, issue_ticket
from accounts.lib.redis import sync_redis
from accounts.models import Session, User
from tests.conftest import PASSWORD
from tests.integration.accounts.auth.listening import Browser, Ear, revoked, save_inactive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


NEW = "quite another battery"


class TestOneSession:
    def test_logout_ends_that_session_only(self, alice: User, ear: Ear) -> None:
        here, there = Browser(alice), Browser(alice)
        ear.listen(session_group(here.hash), session_group(there.hash), user_group(alice.pk))
        here.client.post("/accounts/logout/")
        assert ear.heard() == [session_group(here.hash)]
        assert not here.is_in()
        assert there.is_in()
        assert not Session.objects.filter(pk=here.key).exists()
        assert revoked(alice, here.hash)
        assert not revoked(alice, there.hash)
        assert 50 < sync_redis().ttl(f"revoked:session:{here.hash}") <= 60

    def test_logout_needs_a_post(self, alice: User) -> None:
        here = Browser(alice)
        assert here.client.get("/accounts/logout/").status_code == 200
        assert here.is_in()

    def test_a_ticket_taken_before_does_not_work_after(self, alice: User) -> None:
        here = Browser(alice)
        ticket = issue_ticket(alice.pk, here.key)
        end_session(here.key)
        assert asyncio.run(consume_ticket(ticket, here.key)) is None

    def test_an_unknown_session_is_no_error(self) -> None:
        end_session("no-such-key")
        assert sync_redis().keys("revoked:*") == []

    def test_from_the_settings_page(self, alice: User, bob: User, ear: Ear) -> None:
        here, there, other = Browser(alice), Browser(alice), Browser(bob)
        ear.listen(session_group(there.hash), session_group(other.hash))
        assert here.client.post(f"/accounts/sessions/{other.hash}/end/").status_code == 404
        assert ear.heard() == []
        assert here.client.post(f"/accounts/sessions/{there.hash}/end/").status_code == 302
        assert ear.heard() == [session_group(there.hash)]
        assert [here.is_in(), there.is_in(), other.is_in()] == [True, False, True]

    def test_all_others_from_the_settings_page(self, alice: User, bob: User, ear: Ear) -> None:
        here, there, more, other = Browser(alice), Browser(alice), Browser(alice), Browser(bob)
        ear.listen(*[session_group(each.hash) for each in (here, there, more, other)])
        here.client.post("/accounts/sessions/end-others/")
        assert ear.heard() == sorted([session_group(there.hash), session_group(more.hash)])
        assert [each.is_in() for each in (here, there, more, other)] == [True, False, False, True]


def change_password(browser: Browser) -> None:
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert browser.client.post("/accounts/password/change/", form).status_code == 302


def reset_password(browser: Browser) -> None:
    from django.core import mail

    visitor = Client()
    assert visitor.post("/accounts/password/reset/", {"email": browser.user.email}).status_code == 302
    link = next(word for word in str(mail.outbox[-1].body).split() if "/password/open/#" in word)
    path, _hash, secret = link.removeprefix("http://testserver").partition("#")
    form_address = visitor.post(path, {"secret": secret})["Location"]
    assert visitor.post(form_address, {"password1": NEW, "password2": NEW}).status_code == 302


def set_password_in_a_shell(browser: Browser) -> None:
    browser.user.set_password(NEW)
    browser.user.save()


def make_password_unusable(browser: Browser) -> None:
    user = User.objects.get(pk=browser.user.pk)
    user.set_unusable_password()
    user.save(update_fields=["password"])


def update_password_in_bulk(browser: Browser) -> None:
    User.objects.filter(email=browser.user.email).update(password=make_password(NEW))


PASSWORD_CHANGES = [
    change_password,
    reset_password,
    set_password_in_a_shell,
    make_password_unusable,
    update_password_in_bulk,
]


class TestPassword:
    @pytest.mark.parametrize("change", PASSWORD_CHANGES)
    def test_a_new_one_ends_every_session(self, change: Callable[[Browser], None], alice: User, ear: Ear) -> None:
        here, there = Browser(alice), Browser(alice)
        ear.listen(user_group(alice.pk))
        change(here)
        assert ear.heard() == [user_group(alice.pk)]
        assert revoked(alice, here.hash)
        assert revoked(alice, there.hash)
        assert not there.is_in()
        assert here.is_in() is (change is change_password)

    def test_who_changes_it_goes_on_under_a_new_key(self, alice: User) -> None:
        here = Browser(alice)
        old = here.hash
        change_password(here)
        here.note()
        assert here.hash != old
        assert here.is_in()
        assert not revoked(alice, here.hash)
        assert still_valid(alice.pk, here.hash)
        assert not still_valid(alice.pk, old)

    def test_logging_in_at_once_with_the_new_one(self, alice: User) -> None:
        there = Browser(alice)
        reset_password(there)
        assert there.client.post("/accounts/login/", {"login": alice.email, "password": NEW}).status_code == 302
        there.note()
        assert there.is_in()
        assert not revoked(alice, there.hash)


class TestWithoutRedis:
    @pytest.fixture
    def _no_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nowhere = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))  # the discard port: nobody answers
        monkeypatch.setattr(revocation, "sync_redis", lambda: nowhere)

    @pytest.mark.usefixtures("_no_redis")
    def test_the_change_holds_and_the_failure_is_logged(self, alice: User) -> None:
        here = Browser(alice)
        with capture_logs() as lines:
            assert here.client.post("/accounts/logout/").status_code == 302
            save_inactive(alice)
        assert [line["event"] for line in lines].count("revocation_not_announced") == 2
        assert here.key not in str(lines)
        assert not still_valid(alice.pk, here.hash)
        assert not User.objects.get(pk=alice.pk).is_active

    def test_a_layer_that_hangs_is_not_waited_for(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        async def hang(*args: Any) -> None:
            await asyncio.Event().wait()

        here = Browser(alice)
        monkeypatch.setattr(get_channel_layer(), "group_send", hang)
        monkeypatch.setattr(revocation, "SEND_SECONDS", 0.05)
        with capture_logs() as lines:
            end_session(here.key)
        assert [line["event"] for line in lines] == ["revocation_not_announced"]
        assert revoked(alice, here.hash)


class TestStillValid:
    def test_as_long_as_a_page_would_be_logged_in(self, alice: User, bob: User) -> None:
        here = Browser(alice)
        assert here.is_in()
        assert still_valid(alice.pk, here.hash)
        assert not still_valid(bob.pk, here.hash)
        assert not still_valid(alice.pk, session_hash("another"))
        assert not still_valid(uuid.uuid4(), here.hash)

    def test_not_after_it_expired(self, alice: User) -> None:
        here = Browser(alice)
        Session.objects.filter(pk=here.key).update(expire_date=timezone.now())
        assert not still_valid(alice.pk, here.hash)
        call_command("clearsessions")
        assert not Session.objects.filter(pk=here.key).exists()

    def test_not_with_another_password_whoever_wrote_it(self, alice: User) -> None:
        from django.db import connection

        here = Browser(alice)
        assert here.is_in()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_user SET password = %s WHERE id = %s", [make_password(NEW), alice.pk])
        assert not still_valid(alice.pk, here.hash)

    def test_says_that_the_person_was_seen(self, alice: User) -> None:
        here = Browser(alice)
        before = timezone.now() - timedelta(hours=1)
        Session.objects.filter(pk=here.key).update(last_seen_at=before)
        still_valid(alice.pk, here.hash)
        assert Session.objects.get(pk=here.key).last_seen_at > before


def test_end_all_sessions_counts(alice: User) -> None:
    browsers = [Browser(alice), Browser(alice)]
    assert end_all_sessions(alice) == 2
    assert end_all_sessions(alice) == 0
    assert not any(browser.is_in() for browser in browsers)
    again = Browser(alice)
    assert again.is_in()
    assert not revoked(alice, again.hash)


def test_a_session_knows_its_browser(alice: User) -> None:
    here = Browser(alice)
    row = Session.objects.get(pk=here.key)
    assert row.user == alice
    assert row.hash == here.hash
    assert row.ip == "127.0.0.1"
    assert "Firefox" in row.user_agent
    created = row.created_at
    session = here.client.session
    session["draft"] = "x"
    session.save()
    row.refresh_from_db()
    assert (row.created_at, row.ip, row.hash, row.user) == (created, "127.0.0.1", here.hash, alice)
