"""Signing up, logging in and out, resetting and changing a password: as a person does it, and as an attacker would."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.core import mail
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver
from pytest_django.fixtures import Settings

from accounts.models import Session, User
from tests.conftest import PASSWORD, make_user
from tests.servers import servers

pytestmark = pytest.mark.usefixtures("clean_redis", "db")
WRONG = "not the password"


def log_in(client: Client, email: str, password: str = PASSWORD, ip: str = "192.0.2.1") -> HttpResponse:
    return client.post("/accounts/login/", {"login": email, "password": password}, REMOTE_ADDR=ip)  # type: ignore[return-value]  # the stubs' own response class


def text_of(response: HttpResponse) -> str:
    """What a person reads, without what differs by chance (tokens)."""
    return re.sub(r'(value|nonce)="[A-Za-z0-9+/=]{16,}"', "", response.content.decode())


class TestLogIn:
    def test_by_email_in_any_case(self, alice: User, client: Client) -> None:
        response = log_in(client, "ALICE@Example.org")
        assert (response.status_code, response["Location"]) == (302, "/")
        assert client.session["_auth_user_id"] == str(alice.pk)

    def test_the_form_has_the_protocol_s_fields(self, client: Client) -> None:
        html = client.get("/accounts/login/").content.decode()
        names = set(re.findall(r'<input[^>]* name="([^"]+)"', html))
        assert {"login", "password", "csrfmiddlewaretoken"} <= names

    def test_needs_the_csrf_token(self, alice: User) -> None:
        assert log_in(Client(enforce_csrf_checks=True), alice.email).status_code == 403

    def test_the_session_key_changes(self, alice: User, client: Client) -> None:
        session = client.session
        session["planted"] = "by somebody else"
        session.save()
        planted = session.session_key
        log_in(client, alice.email)
        assert client.session.session_key != planted
        assert not Session.objects.filter(pk=planted).exists()

    def test_passwords_are_hashed_with_argon2(self, alice: User) -> None:
        assert alice.password.startswith("argon2$argon2id$")

    def test_not_when_switched_off(self, alice: User, client: Client) -> None:
        alice.is_active = False
        alice.save()
        response = log_in(client, alice.email)
        assert response["Location"] == "/accounts/inactive/"
        assert "_auth_user_id" not in client.session
        assert client.get("/accounts/inactive/").status_code == 200

    def test_goes_where_one_wanted_but_not_to_other_sites(self, alice: User) -> None:
        for target, location in (
            ("/accounts/settings/", "/accounts/settings/"),
            ("https://evil.example/", "/"),
            ("//evil.example", "/"),
        ):
            form = {"login": alice.email, "password": PASSWORD, "next": target}
            assert Client().post("/accounts/login/", form)["Location"] == location

    def test_log_out_by_post(self, alice: User, client: Client) -> None:
        log_in(client, alice.email)
        assert client.get("/accounts/logout/").status_code == 200
        assert "_auth_user_id" in client.session
        assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
        assert "_auth_user_id" not in client.session


class TestGuessing:
    def test_five_wrong_ones_then_none_for_a_while(self, alice: User) -> None:
        for _ in range(5):
            assert "not correct" in text_of(log_in(Client(), alice.email, WRONG))
        refused = log_in(Client(), alice.email)
        assert refused.status_code == 200
        assert "Too many failed login attempts" in text_of(refused)

    def test_case_and_spaces_are_the_same_address(self, alice: User) -> None:
        spellings = (
            "alice@example.org",
            "ALICE@example.org",
            " alice@example.org ",
            "Alice@Example.Org",
            "alice@EXAMPLE.org",
        )
        for email in spellings:
            log_in(Client(), email, WRONG)
        assert "Too many failed" in text_of(log_in(Client(), alice.email))

    def test_the_owner_elsewhere_still_gets_in(self, alice: User) -> None:
        for _ in range(8):
            log_in(Client(), alice.email, WRONG, ip="203.0.113.66")
        assert log_in(Client(), alice.email, ip="203.0.113.66").status_code == 200
        assert log_in(Client(), alice.email, ip="192.0.2.1").status_code == 302

    def test_many_addresses_from_one_place(self, alice: User) -> None:
        for number in range(10):
            log_in(Client(), f"u{number}@example.org", WRONG)
        assert "Too many failed" in text_of(log_in(Client(), alice.email))

    def test_the_same_place_by_another_header(self, alice: User) -> None:
        """X-Forwarded-For is believed only as far as TRUSTED_PROXIES says."""
        for number in range(5):
            form = {"login": alice.email, "password": WRONG}
            Client().post("/accounts/login/", form, headers={"x-forwarded-for": f"203.0.113.{number}"})
        form["password"] = PASSWORD
        assert Client().post("/accounts/login/", form, headers={"x-forwarded-for": "203.0.113.99"}).status_code == 200

    def test_any_login_from_one_place(self, db: None, settings: Settings) -> None:
        settings.ACCOUNT_RATE_LIMITS = {"login": "3/m/ip"}
        statuses = [log_in(Client(), "a@example.org", WRONG).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]

    def test_a_right_one_does_not_count(self, alice: User) -> None:
        for _ in range(7):
            assert log_in(Client(), alice.email).status_code == 302


class TestEnumeration:
    def test_login_says_the_same(self, alice: User) -> None:
        known, unknown = (text_of(log_in(Client(), email, WRONG)) for email in (alice.email, "alicf@example.org"))
        assert known.replace(alice.email, "") == unknown.replace("alicf@example.org", "")

    def test_login_takes_the_same_time(self, alice: User) -> None:
        """Both hash a password: some 50 ms, against which a page without it would stand out by far."""
        took: dict[str, list[float]] = {alice.email: [], "nobody@example.org": []}
        for _ in range(5):
            for email, times in took.items():
                cache.clear()
                start = time.perf_counter()
                log_in(Client(), email, WRONG)
                times.append(time.perf_counter() - start)
        known, unknown = (statistics.median(times) for times in took.values())
        assert 0.4 < known / unknown < 2.5

    def test_reset_says_the_same_and_mails_both(self, alice: User) -> None:
        seen = []
        for email in (alice.email, "nobody@example.org"):
            response = Client().post("/accounts/password/reset/", {"email": email}, follow=True)
            seen.append((response.redirect_chain, text_of(response)))  # type: ignore[arg-type]  # the stubs' own response class
        assert seen[0] == seen[1]
        assert [message.to for message in mail.outbox] == [[alice.email], ["nobody@example.org"]]
        assert "/password/open/#" in str(mail.outbox[0].body)
        assert "/password/open/#" not in str(mail.outbox[1].body)

    def test_sign_up_says_the_same_when_addresses_are_verified(self, alice: User, settings: Settings) -> None:
        settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
        seen = []
        for email in (alice.email, "new@example.org"):
            form = {"email": email, "password1": "quite another battery"}
            response = Client().post("/accounts/signup/", form, follow=True)
            seen.append((response.redirect_chain, text_of(response).replace(email, "")))  # type: ignore[arg-type]  # the stubs' own response class
        assert seen[0] == seen[1]


class TestSignUp:
    FORM = {"email": "New@example.org", "password1": "quite another battery"}  # noqa: RUF012  # never changed

    def test_in_at_once(self, client: Client) -> None:
        response = client.post("/accounts/signup/", self.FORM)
        assert (response.status_code, response["Location"]) == (302, "/")
        assert client.post("/ws/ticket/").status_code == 200
        assert User.objects.get(email="new@example.org").display_name == "new"
        assert mail.outbox == []

    def test_closed_by_the_setting(self, client: Client, settings: Settings) -> None:
        settings.SIGN_UP = "invitation"
        assert "/accounts/signup/" not in client.get("/accounts/login/").content.decode()
        assert "closed" in client.get("/accounts/signup/").content.decode()
        assert "closed" in client.post("/accounts/signup/", self.FORM).content.decode()
        assert not User.objects.exists()

    @pytest.mark.parametrize("password", ["short12", "password123", "newperson@example.org", ""])
    def test_weak_passwords(self, client: Client, password: str) -> None:
        response = client.post("/accounts/signup/", {"email": "newperson@example.org", "password1": password})
        assert response.status_code == 200
        assert "field-error" in response.content.decode()
        assert not User.objects.exists()

    def test_long_passwords_are_fine(self, client: Client) -> None:
        assert client.post("/accounts/signup/", {**self.FORM, "password1": "πλ" * 64}).status_code == 302

    def test_taken_whatever_the_case(self, alice: User, client: Client) -> None:
        response = client.post("/accounts/signup/", {**self.FORM, "email": "ALICE@example.org"})
        assert response.status_code == 200
        assert User.objects.count() == 1


class TestPassword:
    NEW = "quite another battery"

    def link(self, email: str) -> str:
        Client().post("/accounts/password/reset/", {"email": email})
        words = str(mail.outbox[-1].body).split()
        return next(word for word in words if "/password/open/#" in word).removeprefix("http://testserver")

    def open(self, client: Client, link: str) -> str:
        """What the page's script does: the fragment goes into a form."""
        path, _hash, secret = link.partition("#")
        return client.post(path, {"secret": secret})["Location"]

    def test_reset_by_mail_once(self, alice: User, client: Client) -> None:
        link = self.link(alice.email)
        form = self.open(client, link)
        assert client.post(form, {"password1": self.NEW, "password2": self.NEW}).status_code == 302
        assert log_in(Client(), alice.email, self.NEW).status_code == 302
        again = Client()
        assert "link is invalid" in again.get(self.open(again, link)).content.decode()

    def test_the_key_leaves_the_address_bar(self, alice: User, client: Client) -> None:
        """It would stand in the history, in logs, and go out as a referrer."""
        link = self.link(alice.email)
        page = client.get(link.partition("#")[0])
        assert "/js/open-link.js" in page.content.decode()
        assert self.open(client, link).endswith("-set-password/")

    def test_change_needs_the_old_one(self, alice: User, client: Client) -> None:
        log_in(client, alice.email)
        form = {"oldpassword": WRONG, "password1": self.NEW, "password2": self.NEW}
        assert client.post("/accounts/password/change/", form).status_code == 200
        alice.refresh_from_db()
        assert alice.check_password(PASSWORD)


PAGES = [
    "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/password/reset/done/",
    "/accounts/password/reset/key/done/", "/accounts/password/reset/key/x-y/", "/accounts/inactive/",
    "/accounts/confirm-email/", "/accounts/confirm-email/x/", "/accounts/waiting/", "/accounts/password/open/",
    "/accounts/invitation/",
]  # fmt: skip
OWN_PAGES = [
    "/accounts/settings/", "/accounts/logout/", "/accounts/password/change/", "/accounts/email/",
    "/accounts/reauthenticate/",
]  # fmt: skip


class TestPages:
    @pytest.mark.parametrize("path", [*PAGES, *OWN_PAGES])
    def test_are_ours_and_strict(self, alice: User, client: Client, path: str) -> None:
        """Every one is drawn by our card, under the strict policy, with nothing inline and nothing kept by caches."""
        if path in OWN_PAGES:
            log_in(client, alice.email)
        response = client.get(path, follow=True)
        html = response.content.decode()
        assert response.status_code == 200
        assert 'class="auth-card"' in html
        assert "<h1>" in html
        assert not re.search(r'<style|\sstyle="|\son[a-z]+="|javascript:|<script(?![^>]*src=)', html)
        policy = response["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (response["X-Frame-Options"], response["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert response["Referrer-Policy"] == "same-origin"

    def test_own_pages_need_a_login(self, client: Client) -> None:
        for path in OWN_PAGES:
            assert client.get(path)["Location"].startswith(("/accounts/login/", "/accounts/login/?next=")), path

    def test_none_of_allauth_s_is_forgotten(self) -> None:
        """A page that allauth adds in an update is listed here, or dropped, on purpose."""
        known = {
            "account_login", "account_logout", "account_inactive", "account_signup", "account_reauthenticate",
            "account_email", "account_email_verification_sent", "account_change_password", "account_set_password",
            "account_reset_password", "account_confirm_login_code", "account_confirm_email",
            "account_reset_password_from_key_done", "account_reset_password_from_key", "account_reset_password_done",
            "account_settings", "account_end_other_sessions", "account_end_session",
            "account_invitation", "account_accept_invitation", "account_waiting", "account_open_reset",
        }  # fmt: skip
        names = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
        assert {name for name in names if name.startswith("account")} == known

    def test_errors_are_tied_to_their_fields(self, client: Client) -> None:
        html = client.post("/accounts/signup/", {"email": "nonsense", "password1": "x"}).content.decode()
        for name in ("email", "password1"):
            (field,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', html)
            assert 'aria-invalid="true"' in field
            assert f"id_{name}_error" in field
            assert f'id="id_{name}_error"' in html


class TestSettings:
    @pytest.fixture
    def logged_in(self, alice: User) -> Client:
        client = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/145.0"})
        log_in(client, alice.email)
        return client

    def test_the_name(self, alice: User, logged_in: Client) -> None:
        assert logged_in.post("/accounts/settings/", {"name": "Alice <b>"}).status_code == 302
        alice.refresh_from_db()
        assert alice.name == "Alice <b>"
        assert "<b>" not in logged_in.get("/accounts/settings/").content.decode()

    def test_nothing_but_the_name(self, alice: User, logged_in: Client) -> None:
        logged_in.post(
            "/accounts/settings/", {"name": "A", "is_staff": "on", "email": "x@example.org", "is_superuser": "1"}
        )
        alice.refresh_from_db()
        assert (alice.is_staff, alice.is_superuser, alice.email) == (False, False, "alice@example.org")

    def test_shows_one_s_own_sessions(self, alice: User, logged_in: Client) -> None:
        log_in(Client(headers={"user-agent": "curl/8.9.1"}), alice.email)
        log_in(Client(headers={"user-agent": "Mallory/1.0"}), make_user("Mallory").email)
        html = logged_in.get("/accounts/settings/").content.decode()
        assert "Firefox on Linux" in html
        assert "curl" in html
        assert "this browser" in html
        assert "Mallory" not in html
        assert html.count("/end/") == 1
        for key in Session.objects.values_list("session_key", flat=True):
            assert key not in html


def run_manage(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        env={**os.environ, **servers.environment(), **environment},
        cwd=Path(__file__).parents[4], capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


class TestProduction:
    HTTPS = {"HTTPS": "1", "ALLOWED_HOSTS": "chat.example.org", "ALLOWED_ORIGINS": "https://chat.example.org"}  # noqa: RUF012  # never changed

    def test_django_finds_nothing_to_warn_of(self) -> None:
        done = run_manage("check", "--deploy", "--fail-level", "WARNING", **self.HTTPS)
        assert done.returncode == 0, done.stderr
        assert "no issues" in done.stdout

    def test_cookies_and_transport(self) -> None:
        """In a process of its own: settings are read once."""
        script = """
from django.test import Client
client = Client()
plain = client.get('/accounts/login/', HTTP_HOST='chat.example.org')
print(plain.status_code, plain['Location'])
page = client.get('/accounts/login/', HTTP_HOST='chat.example.org', HTTP_X_FORWARDED_PROTO='https')
print(page['Strict-Transport-Security'])
for name, cookie in page.cookies.items():
    print(name, cookie['secure'], cookie['samesite'], cookie['domain'] == '', cookie['path'])
from django.conf import settings as known
print(known.SESSION_COOKIE_NAME, *(getattr(known, f'SESSION_COOKIE_{x}') for x in ('SECURE', 'HTTPONLY', 'SAMESITE')))
"""
        done = run_manage("shell", "--no-imports", "-c", script, **self.HTTPS)
        assert done.stdout.splitlines() == [
            "301 https://chat.example.org/accounts/login/",
            "max-age=31536000",
            "__Host-csrftoken True Lax True /",
            "__Host-sessionid True True Lax",
        ], done.stderr

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("EMAIL_VERIFICATION", "perhaps"),
            ("TRUSTED_PROXIES", "many"),
            ("LOGIN_RATE", "often"),
            ("HTTPS", "si"),
            ("ALLOWED_ORIGINS", "chat.example.org"),
        ],
    )
    def test_garbage_is_refused_by_name(self, name: str, value: str) -> None:
        done = run_manage("check", **{name: value})
        assert done.returncode != 0
        assert name in done.stderr

    def test_a_wildcard_host_is_pointed_out(self) -> None:
        assert "accounts.W001" in run_manage("check", ALLOWED_HOSTS="*").stderr
