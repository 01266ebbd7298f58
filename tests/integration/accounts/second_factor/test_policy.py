"""Where the site demands a second factor: of whom, with how many days of grace, and never without a way in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.auth.second_factor import policy
from accounts.auth.second_factor.policy import Standing
from accounts.models import User
from tests.conftest import PASSWORD
from tests.fixtures.one_time_codes import code_of, give_app, shown_secret
from tests.fixtures.people import logged_in, make_staff

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
HTML = {"accept": "text/html"}
REQUIRED = "/accounts/security/required/"


@pytest.mark.parametrize(
    ("demanded", "of"),
    [
        ((), set()),
        (("staff",), {"staff"}),
        (("everybody",), {"staff", "alice"}),
        (("writers",), {"alice"}),
        (("writers", "staff"), {"staff", "alice"}),
        (("nobody-is-in-this",), set()),
    ],
)
def test_of_whom(demanded: tuple[str, ...], of: set[str], alice: User, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = frozenset(demanded)
    alice.groups.add(Group.objects.create(name="writers"))
    people = {"alice": alice, "staff": make_staff()}
    assert {name for name, user in people.items() if policy.is_required_for(user)} == of


def test_days_of_grace_are_counted_once(alice: User, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED, settings.SECOND_FACTOR_GRACE_DAYS = frozenset({"everybody"}), 3
    assert policy.standing_of(alice) is Standing.GRACE
    alice.refresh_from_db()
    assert alice.second_factor_due is not None
    assert timedelta(days=2.9) < alice.second_factor_due - timezone.now() <= timedelta(days=3)
    User.objects.filter(pk=alice.pk).update(second_factor_due=timezone.now() - timedelta(seconds=1))
    alice.refresh_from_db()
    assert policy.standing_of(alice) is Standing.DUE
    give_app(alice)
    assert policy.standing_of(alice) is Standing.FINE
    Authenticator.objects.filter(user=alice, type="totp").delete()
    assert policy.standing_of(alice) is Standing.DUE, "recovery codes alone are no factor, and grace is not given twice"


class TestPages:
    def test_with_days_left_the_page_can_be_put_off(self, alice: User, settings: Any) -> None:
        settings.SECOND_FACTOR_REQUIRED = frozenset({"everybody"})
        client = logged_in(alice)
        assert (
            client.get("/accounts/settings/", headers=HTML)["Location"] == f"{REQUIRED}?next=%2Faccounts%2Fsettings%2F"
        )
        assert client.post("/ws/ticket/").status_code == 200
        page = client.get(f"{REQUIRED}?next=/accounts/settings/", headers=HTML).content.decode()
        assert "Later" in page
        assert client.post(REQUIRED, {"next": "/accounts/settings/"})["Location"] == "/accounts/settings/"
        assert client.get("/accounts/settings/", headers=HTML).status_code == 200

    def test_afterwards_only_the_way_to_one_is_open(self, alice: User, client: Client, settings: Any) -> None:
        settings.SECOND_FACTOR_REQUIRED, settings.SECOND_FACTOR_GRACE_DAYS = frozenset({"everybody"}), 0
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        for address in ("/", "/accounts/settings/", "/accounts/delete/", "/admin/"):
            assert client.get(address, headers=HTML)["Location"].startswith(REQUIRED), address
        for address in ("/ws/ticket/", "/accounts/sessions/end-others/"):
            answer = client.post(address)
            assert (answer.status_code, answer.json()["code"]) == (403, "second_factor"), address
        page = client.get(REQUIRED, headers=HTML).content.decode()
        assert "Later" not in page
        assert client.post(REQUIRED).status_code == 200
        secret = shown_secret(client.get("/accounts/2fa/totp/activate/", headers=HTML).content.decode())
        client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
        assert client.get("/accounts/settings/", headers=HTML).status_code == 200
        assert client.post("/ws/ticket/").status_code == 200

    def test_staff_pages_are_closed_too(self, settings: Any) -> None:
        settings.SECOND_FACTOR_REQUIRED, settings.SECOND_FACTOR_GRACE_DAYS = frozenset({"staff"}), 0
        client = logged_in(make_staff(superuser=True))
        assert client.get("/admin/", headers=HTML)["Location"].startswith(REQUIRED)
        assert client.post("/admin/accounts/user/add/").status_code == 403

    def test_the_last_factor_stays_where_one_is_needed(self, alice: User, settings: Any) -> None:
        settings.SECOND_FACTOR_REQUIRED = frozenset({"everybody"})
        give_app(alice)
        client = logged_in(alice)
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        page = client.get("/accounts/2fa/totp/deactivate/", headers=HTML).content.decode()
        assert "Add another one before you remove this one" in page
        client.post("/accounts/2fa/totp/deactivate/")
        assert Authenticator.objects.filter(user=alice, type="totp").exists()

    def test_leads_nowhere_else(self, alice: User, settings: Any) -> None:
        settings.SECOND_FACTOR_REQUIRED = frozenset({"everybody"})
        client = logged_in(alice)
        assert client.post(REQUIRED, {"next": "https://evil.example/"})["Location"] == "/"


def test_a_page_costs_no_query_more_once_a_session_was_looked_at(
    alice: User, settings: Any, django_assert_num_queries: Any
) -> None:
    client = logged_in(alice)
    client.get("/accounts/settings/appearance/")
    with django_assert_num_queries(2):  # the session, the user
        client.get("/accounts/settings/appearance/")
    settings.SECOND_FACTOR_REQUIRED = frozenset({"everybody", "writers"})
    give_app(alice)
    client.get("/accounts/settings/appearance/")
    with django_assert_num_queries(2):
        client.get("/accounts/settings/appearance/")
