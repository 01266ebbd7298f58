"""Each security event is an audit entry, a log line and a counter; and what the browser is told about private pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from accounts.auth.counters import security_events
from accounts.auth.revocation import session_hash
from accounts.auth.sessions import still_valid
from accounts.models import AuditEntry, Session, User
from chat.telemetry import exposition
from tests.conftest import PASSWORD
from tests.fixtures.people import logged_in, make_staff

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
NEW = "quite another battery"


def log_in(client: Client, email: str, password: str = PASSWORD) -> Any:
    return client.post("/accounts/login/", {"login": email, "password": password})


def entries() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("verb", "actor_email", "object_id"))


class TestEvents:
    def test_log_in_failure_and_password_change(self, alice: User, client: Client) -> None:
        before = dict(security_events)
        with capture_logs() as logs:
            log_in(client, alice.email, "not the password")
            log_in(client, alice.email)
            client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
        key = str(alice.pk)
        assert entries() == [(verb, alice.email, key) for verb in ("login_failed", "login", "password_change")]
        assert AuditEntry.objects.get(verb="login_failed").actor_id is None
        assert AuditEntry.objects.get(verb="login").actor_id == alice.pk
        kinds = [line["kind"] for line in logs if line["event"] == "security_event_recorded"]
        assert kinds == ["login_failed", "login", "password_change"]
        for kind in kinds:
            assert security_events[kind] == before.get(kind, 0) + 1
        assert f'antiphon_security_events_total{{event="login"}} {security_events["login"]:.1f}' in _metrics()

    def test_a_password_reset_by_mail(self, alice: User) -> None:
        before = security_events["password_reset"]
        client = Client(REMOTE_ADDR="198.51.100.7")
        client.post("/accounts/password/reset/", {"email": alice.email})
        link = next(word for word in str(mail.outbox[-1].body).split() if "/password/open/#" in word)
        path, _, secret = link.removeprefix("http://testserver").partition("#")
        form = client.post(path, {"secret": secret})["Location"]
        with capture_logs() as logs:
            assert client.post(form, {"password1": PASSWORD[:4], "password2": PASSWORD[:4]}).status_code == 200
            assert not AuditEntry.objects.exists(), "a refused password is no reset"
            client.post(form, {"password1": NEW, "password2": NEW})
        assert entries() == [("password_reset", alice.email, str(alice.pk))]
        entry = AuditEntry.objects.get()
        assert (entry.actor_id, entry.ip) == (None, "198.51.100.7"), "nobody is logged in"
        assert secret.partition("-")[2] not in f"{entry.details}{logs}"
        [line] = [line for line in logs if line["event"] == "security_event_recorded"]
        assert (line["kind"], line["user_id"], line["ip"], line["staff"]) == (
            "password_reset", str(alice.pk), "198.51.100.7", False,
        )  # fmt: skip
        assert security_events["password_reset"] == before + 1
        assert f'antiphon_security_events_total{{event="password_reset"}} {before + 1:.1f}' in _metrics()

    def test_staff_s_log_ins_say_so(self) -> None:
        sam = make_staff()
        log_in(Client(), sam.email)
        assert AuditEntry.objects.get(verb="login").details == "staff"

    def test_an_unknown_address_has_an_entry_without_an_actor(self) -> None:
        log_in(Client(), "nobody@example.org", "whatever it is")
        assert entries() == [("login_failed", "nobody@example.org", "")]

    def test_sign_up(self) -> None:
        Client().post("/accounts/signup/", {"email": "new@example.org", "password1": NEW})
        assert [verb for verb, *_ in entries()] == ["sign_up", "login"]

    def test_a_new_address(self, alice: User, client: Client) -> None:
        EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
        log_in(client, alice.email)
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        client.post("/accounts/email/", {"email": "other@example.org", "action_add": ""})
        link = next(word for word in str(mail.outbox[-1].body).split() if "/confirm-email/" in word)
        client.post(link.removeprefix("http://testserver"))
        alice.refresh_from_db()
        assert alice.email == "other@example.org"
        changed = AuditEntry.objects.get(verb="email_change")
        assert (changed.actor_id, changed.object_id) == (alice.pk, str(alice.pk))
        assert changed.details == "alice@example.org to other@example.org"

    def test_refused_permissions_are_recorded_and_bounded(self) -> None:
        client = logged_in(make_staff("view_user"))
        for _ in range(40):
            assert client.get("/admin/accounts/plan/").status_code == 403
        refused = AuditEntry.objects.filter(verb="permission_refused")
        assert refused.first() is not None
        assert refused.first().details == "GET /admin/accounts/plan/"  # type: ignore[union-attr]  # as above
        assert 30 <= refused.count() < 40
        assert security_events["permission_refused"] >= 40


def _metrics() -> str:
    from prometheus_client.exposition import generate_latest

    return generate_latest(exposition.REGISTRY).decode()


class TestSessions:
    def age(self, client: Client, **fields: timedelta) -> int:
        """The status of the settings page for a session whose times are so long ago."""
        past = {name: timezone.now() - ago for name, ago in fields.items()}
        Session.objects.filter(session_key=client.session.session_key).update(**past)
        return int(client.get("/accounts/settings/").status_code)

    def test_an_idle_one_ends(self, alice: User) -> None:
        client = logged_in(alice)
        assert self.age(client, last_seen_at=timedelta(hours=71)) == 200
        seen = Session.objects.get().last_seen_at
        assert timezone.now() - seen < timedelta(minutes=1)  # the request counts as a sign of life
        key = Session.objects.get().session_key
        assert self.age(client, last_seen_at=timedelta(hours=73)) == 302
        assert not still_valid(alice.pk, session_hash(key))

    def test_staff_s_ends_sooner(self) -> None:
        sam = make_staff()
        assert self.age(logged_in(sam), last_seen_at=timedelta(minutes=59)) == 200
        assert self.age(logged_in(sam), last_seen_at=timedelta(minutes=61)) == 302
        assert self.age(logged_in(sam), created_at=timedelta(hours=13)) == 302


class TestHeaders:
    def test_log_out_clears_the_browser(self, alice: User, client: Client) -> None:
        log_in(client, alice.email)
        assert "Clear-Site-Data" not in client.get("/accounts/settings/")
        assert client.post("/accounts/logout/")["Clear-Site-Data"] == '"cache", "storage"'

    @pytest.mark.parametrize("path", ["/", "/accounts/settings/", "/accounts/usage/", "/recordings/", "/admin/"])
    def test_private_pages_are_not_stored(self, path: str) -> None:
        response = logged_in(make_staff(superuser=True)).get(path)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
