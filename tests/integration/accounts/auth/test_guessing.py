"""Guessing one account's password from many places, and from many addresses of one place."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core import mail
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.auth import guessing
from accounts.lib.redis import sync_redis
from accounts.models import AuditEntry, User
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
WRONG = "not the password"


def log_in(email: str, password: str, ip: str) -> Any:
    return Client().post("/accounts/login/", {"login": email, "password": password}, REMOTE_ADDR=ip)


def guess_from_many_places(email: str, count: int = guessing.FREE) -> None:
    for number in range(count):
        log_in(email, WRONG, f"198.51.{number}.7")


def test_ten_addresses_of_one_ipv6_network_are_one_place(alice: User) -> None:
    answers = [log_in(alice.email, WRONG, f"2001:db8:1:2::{number:x}").content.decode() for number in range(10)]
    assert sum("Too many failed" in answer for answer in answers) == 5
    assert log_in(alice.email, PASSWORD, "2001:db8:1:3::1").status_code == 302


def test_one_network_guesses_at_ten_accounts_a_minute(alice: User) -> None:
    """Also with another IPv6 address of its own for each."""
    for number in range(10):
        log_in(f"user{number}@example.org", WRONG, f"2001:db8:1:2::{number:x}")
    assert "Too many failed" in log_in("user10@example.org", WRONG, "2001:db8:1:2::a").content.decode()
    assert "Too many failed" not in log_in("user10@example.org", WRONG, "2001:db8:1:3::a").content.decode()


def test_from_many_places_the_account_is_locked(alice: User) -> None:
    guess_from_many_places(alice.email)
    refused = log_in(alice.email, PASSWORD, "203.0.113.1")
    assert "Too many failed" in refused.content.decode()


def test_the_owner_s_own_places_are_not_locked_out(alice: User) -> None:
    assert log_in(alice.email, PASSWORD, "203.0.113.1").status_code == 302
    guess_from_many_places(alice.email)
    assert log_in(alice.email, PASSWORD, "203.0.113.1").status_code == 302
    assert log_in(alice.email, PASSWORD, "203.0.113.2").status_code == 200


def test_the_lock_grows_and_has_an_end(alice: User) -> None:
    name = guessing._name(alice.email)
    left = []
    for _ in range(guessing.FREE + 8):
        guessing.count_failure(alice.email)
        left.append(sync_redis().ttl(f"guess:lock:{name}"))
    assert left[guessing.FREE - 2] == -2  # no lock yet
    assert left[guessing.FREE - 1] in (29, 30)
    assert left[guessing.FREE] in (59, 60)
    assert max(left) <= guessing.LONGEST_SECONDS
    before = sync_redis().ttl(f"guess:lock:{name}")
    log_in(alice.email, WRONG, "203.0.113.9")  # refused unread: does not prolong it
    assert sync_redis().ttl(f"guess:lock:{name}") <= before
    sync_redis().delete(f"guess:lock:{name}")  # as its time does
    assert log_in(alice.email, PASSWORD, "203.0.113.9").status_code == 302


def test_a_new_password_ends_it(alice: User) -> None:
    guess_from_many_places(alice.email)
    Client().post("/accounts/password/reset/", {"email": alice.email})
    link = next(word for word in str(mail.outbox[-1].body).split() if "/password/open/#" in word)
    client = Client(REMOTE_ADDR="203.0.113.5")
    path, _hash, secret = link.removeprefix("http://testserver").partition("#")
    form = client.post(path, {"secret": secret})["Location"]
    new = "quite another battery"
    assert client.post(form, {"password1": new, "password2": new}).status_code == 302
    assert log_in(alice.email, new, "203.0.113.6").status_code == 302, "not only from where it was chosen"


def test_a_changed_password_ends_it(alice: User) -> None:
    client = Client(REMOTE_ADDR="203.0.113.5")
    assert client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD}).status_code == 302
    guess_from_many_places(alice.email)
    new = "quite another battery"
    fields = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert client.post("/accounts/password/change/", fields).status_code == 302
    assert log_in(alice.email, new, "203.0.113.6").status_code == 302


def test_an_unknown_address_is_answered_alike_and_the_owner_is_told_once(alice: User) -> None:
    for email in (alice.email, "nobody@example.org"):
        guess_from_many_places(email, guessing.FREE + 3)
        assert "Too many failed" in log_in(email, WRONG, "203.0.113.1").content.decode()
    deadline = time.monotonic() + 5
    while not mail.outbox and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [message.to for message in mail.outbox] == [[alice.email]]
    assert "guessing your password" in mail.outbox[0].subject
    locked = AuditEntry.objects.filter(verb="account_locked").order_by("id")
    assert [(row.actor_id, row.actor_email, row.object_id) for row in locked] == [
        (None, alice.email, str(alice.pk)), (None, "nobody@example.org", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "password",
    ["        ", "aaaaaaaaaa", "antiphon", "Antiphon2026!", "summer2026", "Winter-2025", "2026december",
     "1234567890123", "password2026!", "dragon123456", "1q2w3e4r5t"],
)  # fmt: skip
def test_what_guessers_try_first_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password)


@pytest.mark.parametrize("password", [PASSWORD, "summer rain 2026", "πλ" * 64, "x7$kP2!qZ9"])
def test_what_they_do_not_is_taken(password: str) -> None:
    validate_password(password)


class TestHostNames:
    """The words of this place: the site's own host names and origins."""

    @pytest.fixture(autouse=True)
    def _here(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["testserver", "chat.acme-works.example", ".initech.example", "192.0.2.17"]
        settings.ALLOWED_ORIGINS = ["https://talk.umbrella.example:8443"]

    @pytest.mark.parametrize(
        "password",
        ["chat.acme-works.example", "Acme-Works2026!", "acmeworks2026", "Acme!!2026", "2026-initech",
         "Initech.Example1", "Umbrella123", "talk.umbrella.example"],
    )  # fmt: skip
    def test_as_a_password_with_digits_around_them_are_refused(self, password: str) -> None:
        with pytest.raises(ValidationError) as refused:
            validate_password(password)
        assert "password_guessable" in {error.code for error in refused.value.error_list}

    @pytest.mark.parametrize("password", ["umbrella stand 7", "talking acme rockets", "192.0.2.17 and a hat"])
    def test_inside_a_longer_one_are_fine(self, password: str) -> None:
        validate_password(password)

    def test_another_site_s_are_fine(self) -> None:
        validate_password("hooli-works2026")

    def test_at_sign_up_the_form_says_why(self, client: Client) -> None:
        page = client.post("/accounts/signup/", {"email": "new@example.org", "password1": "Acme-Works2026!"})
        assert "The password is a common word with digits or punctuation." in page.content.decode()
        assert not User.objects.filter(email="new@example.org").exists()
