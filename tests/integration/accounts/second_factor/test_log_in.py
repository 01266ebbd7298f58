"""Log-ins with a second factor: nothing is open before it, codes work once, wrong ones count, browsers are known."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client

from accounts.models import AuditEntry, Session, User
from tests.conftest import PASSWORD
from tests.fixtures.one_time_codes import code_of, give_app, recovery_codes_of, shown_secret
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
ASK = "/accounts/2fa/authenticate/"


def give_password(client: Client, user: User, **more: str) -> Any:
    return client.post("/accounts/login/", {"login": user.email, "password": PASSWORD, **more})


def verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))


def is_logged_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


class TestLogIn:
    def test_nothing_is_open_after_the_password_alone(self, alice: User, client: Client) -> None:
        give_app(alice)
        assert give_password(client, alice)["Location"] == ASK
        assert not is_logged_in(client)
        assert client.post("/ws/ticket/").status_code == 403
        assert client.get("/admin/")["Location"].startswith("/admin/login/")
        assert client.get("/accounts/settings/security/")["Location"].startswith("/accounts/login/")
        assert not Session.objects.filter(user=alice).exists()

    def test_a_code_logs_in_and_works_once(self, alice: User, client: Client) -> None:
        give_app(alice)
        give_password(client, alice, next="/accounts/settings/")
        code = code_of()
        assert client.post(ASK, {"code": code})["Location"] == "/accounts/2fa/trust/"
        assert client.post("/accounts/2fa/trust/", {"action": "no"})["Location"] == "/accounts/settings/"
        assert is_logged_in(client)
        assert client.post("/ws/ticket/").status_code == 200
        other = Client()
        give_password(other, alice)
        assert "used already" in other.post(ASK, {"code": code}).content.decode() or not is_logged_in(other)
        assert not is_logged_in(other)

    def test_the_code_of_the_step_before_is_taken_but_not_twice(self, alice: User) -> None:
        give_app(alice)
        earlier, results = code_of(steps=-1), []
        for _ in range(2):
            client = Client()
            give_password(client, alice)
            results.append(client.post(ASK, {"code": earlier}).status_code)
        assert results == [302, 200]

    def test_a_recovery_code_works_once_and_is_reported(self, alice: User, client: Client) -> None:
        give_app(alice)
        code = recovery_codes_of(alice)[0]
        give_password(client, alice)
        assert client.post(ASK, {"code": code}).status_code == 302
        assert "recovery_code_used" in verbs()
        entry = AuditEntry.objects.get(verb="recovery_code_used")
        assert (entry.object_id, entry.details) == (str(alice.pk), "9 left")
        other = Client()
        give_password(other, alice)
        assert other.post(ASK, {"code": code}).status_code == 200
        assert not is_logged_in(other)

    def test_the_admin_has_no_way_round(self, alice: User, client: Client) -> None:
        User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
        give_app(alice)
        form = client.post("/admin/login/", {"username": alice.email, "password": PASSWORD})
        assert form["Location"].startswith("/accounts/login/")
        assert not is_logged_in(client)
        give_password(client, alice, next="/admin/")
        assert client.get("/admin/").status_code == 302
        client.post(ASK, {"code": code_of()})
        client.post("/accounts/2fa/trust/", {"action": "no"})
        assert client.get("/admin/").status_code == 200


class TestGuessing:
    def test_wrong_codes_are_limited_by_account(self, alice: User) -> None:
        give_app(alice)
        client = Client()
        give_password(client, alice)
        for _ in range(5):
            client.post(ASK, {"code": "000000"})
        refused = client.post(ASK, {"code": code_of()})
        assert refused.status_code == 200
        assert "Too many failed login attempts" in refused.content.decode()
        assert not is_logged_in(client)
        assert verbs().count("second_factor_failed") == 5

    def test_ten_wrong_codes_lock_the_account_for_unknown_networks(self, alice: User, settings: Any) -> None:
        settings.ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": None}
        give_app(alice)
        client = Client(REMOTE_ADDR="198.51.100.9")
        give_password(client, alice)
        for _ in range(10):
            client.post(ASK, {"code": "000000"})
        assert "account_locked" in verbs()
        page = client.post(ASK, {"code": code_of()})
        assert "too many wrong codes" in page.content.decode()
        assert not is_logged_in(client)


class TestRememberedBrowsers:
    def remembering(self, alice: User) -> Client:
        client = Client()
        give_password(client, alice)
        client.post(ASK, {"code": code_of()})
        client.post("/accounts/2fa/trust/", {"action": "trust"})
        client.post("/accounts/logout/")
        return client

    def test_one_is_asked_for_the_password_alone(self, alice: User) -> None:
        give_app(alice)
        client = self.remembering(alice)
        give_password(client, alice)
        assert is_logged_in(client)
        stranger = Client()
        give_password(stranger, alice)
        assert not is_logged_in(stranger)

    def test_until_its_user_forgets_them_all(self, alice: User) -> None:
        give_app(alice)
        client, other = self.remembering(alice), logged_in(alice)
        other.post("/accounts/reauthenticate/", {"password": PASSWORD})
        assert other.post("/accounts/security/forget-browsers/")["Location"] == "/accounts/settings/security/"
        give_password(client, alice)
        assert not is_logged_in(client)
        assert "browsers_forgotten" in verbs()

    def test_none_is_offered_where_the_site_says_so(self, alice: User, client: Client, settings: Any) -> None:
        settings.MFA_TRUST_ENABLED = False
        give_app(alice)
        give_password(client, alice)
        assert client.post(ASK, {"code": code_of()})["Location"] == "/"


class TestSettingUp:
    @pytest.mark.django_db(transaction=True)  # mails and events follow the commit
    def test_an_app_from_nothing_to_off_again(self, alice: User, client: Client, settings: Any) -> None:
        settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
        give_password(client, alice)
        page = client.get("/accounts/2fa/totp/activate/").content.decode()
        assert "data:image/svg+xml" in page
        secret = shown_secret(page)
        wrong = client.post("/accounts/2fa/totp/activate/", {"code": "1"})
        assert wrong.status_code == 200
        assert shown_secret(wrong.content.decode()) == secret, "a slip must not cost the scan"
        done = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
        assert done["Location"] == "/accounts/2fa/recovery-codes/"
        row = Authenticator.objects.get(user=alice, type="totp")
        assert secret not in str(row.data), "it is encrypted at rest"
        assert [one.to for one in mail.outbox] == [[alice.email]]
        client.post("/accounts/2fa/reauthenticate/", {"code": code_of(secret, steps=1)})
        codes = client.get("/accounts/2fa/recovery-codes/").content.decode()
        assert all(code in codes for code in recovery_codes_of(alice))
        assert "10 codes are left" in client.get("/accounts/settings/security/").content.decode()
        off = client.post("/accounts/2fa/totp/deactivate/", follow=True)
        assert off.redirect_chain[-1] == ("/accounts/settings/security/", 302)
        assert not Authenticator.objects.filter(user=alice).exists()
        assert verbs() == [
            "login", "second_factor_added", "second_factor_added", "second_factor_removed", "second_factor_removed",
        ]  # fmt: skip
        assert len(mail.outbox) == 2

    def test_turning_it_off_needs_a_proof(self, alice: User) -> None:
        give_app(alice)
        client = logged_in(alice)
        asked = client.post("/accounts/2fa/totp/deactivate/")
        assert asked["Location"].startswith("/accounts/reauthenticate/")
        assert Authenticator.objects.filter(user=alice, type="totp").exists()

    def test_new_devices_are_mailed(self, alice: User) -> None:
        firefox, chrome = "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0", "Mozilla/5.0 (Windows NT) Chrome/150.0"
        for agent in (firefox, firefox, chrome):
            give_password(Client(headers={"user-agent": agent}), alice)
        assert verbs() == ["login", "login", "login", "new_device"]
        assert AuditEntry.objects.get(verb="new_device").details == "Chrome on Windows"
