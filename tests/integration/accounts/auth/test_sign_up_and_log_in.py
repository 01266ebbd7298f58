"""Signing up, logging in and out, resetting and changing a password: as a person does it, and as an attacker would."""

from __future__ import annotations

import re
import statistics
import time

import pytest
from django.core import mail
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Session, User
from tests.conftest import PASSWORD

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
