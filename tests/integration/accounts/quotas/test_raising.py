"""Raising the quotas of many users at once: which, by how much, once for a shared one, and recorded."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.lib.ids import uuid7
from accounts.models import AuditEntry, Plan, Quota, QuotaPeriod, TopUp, Unit, User
from accounts.quotas.balance import shared_balances, user_balances
from accounts.quotas.raising import raise_quotas, share_of
from accounts.quotas.settlement import Used, settle_run
from chat.recovery.ledger import check_ledger
from tests.fixtures.people import staff_client

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture
def team(alice: User, bob: User) -> Group:
    group = Group.objects.create(name="Team")
    alice.groups.add(group)
    bob.groups.add(group)
    return group


def limits(user: User) -> list[Decimal]:
    return [balance.limit for balance in user_balances(user.pk)]


def test_the_quota_that_applies_is_raised_and_no_other(alice: User, bob: User, team: Group) -> None:
    plan = Plan.objects.get(is_default=True)
    Quota.objects.create(plan=plan, unit=Unit.MESSAGES, period=QuotaPeriod.DAY, limit=50)
    Quota.objects.create(group=team, unit=Unit.MESSAGES, period=QuotaPeriod.DAY, limit=101)
    Quota.objects.create(user=bob, unit=Unit.MESSAGES, period=QuotaPeriod.DAY, limit=7)
    settle_run(alice.pk, uuid7(), datetime.now(UTC), Used("m", messages=3))
    done = raise_quotas([alice.pk, bob.pk], 20, by=None, reason="exam")
    assert (done.users, done.quotas, done.shared) == (2, 2, 0)
    assert (limits(alice), limits(bob)) == ([Decimal(122)], [Decimal(9)]), "whole numbers are rounded up"
    assert user_balances(alice.pk)[0].used == 3, "what was used before there was an allowance counts"
    assert sorted(TopUp.objects.values_list("amount", "reason")) == [(2, "exam"), (21, "exam")]
    raise_quotas([alice.pk], 20, by=None, reason="more")
    assert limits(alice) == [Decimal(143)], "of the limit, not of what was added"
    assert not list(check_ledger())


def test_a_shared_quota_is_raised_once(alice: User, bob: User, team: Group) -> None:
    Quota.objects.create(group=team, unit=Unit.MONEY, period=QuotaPeriod.MONTH, limit=Decimal("10.01"), shared=True)
    done = raise_quotas([alice.pk, bob.pk], 20, groups=[team.pk], by=None, reason="x")
    assert (done.users, done.shared) == (0, 1)
    assert [one.limit for one in shared_balances(team.pk)] == [Decimal("12.012")]


def test_as_few_queries_for_many_users() -> None:
    Quota.objects.create(plan=Plan.objects.get(is_default=True), unit=Unit.MESSAGES, period=QuotaPeriod.DAY, limit=10)
    people = [User.objects.create(email=f"p{number}@example.org").pk for number in range(60)]

    def count(users: list[uuid.UUID]) -> int:
        with CaptureQueriesContext(connection) as asked:
            raise_quotas(users, 10, by=None, reason="x")
        return len(asked)

    assert count(people[:1]) == count(people[1:])
    assert TopUp.objects.count() == 60


@pytest.mark.parametrize(
    ("limit", "unit", "amount"),
    [
        ("7", Unit.MESSAGES, "2"),
        ("0", Unit.MESSAGES, "0"),
        ("0.1", Unit.MONEY, "0.02"),
        ("100", Unit.INPUT_TOKENS, "20"),
    ],
)
def test_shares(limit: str, unit: str, amount: str) -> None:
    assert share_of(Decimal(limit), 20, unit) == Decimal(amount)


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def staff(db: None) -> Client:
    return staff_client("view_user", "top_up")


def test_everybody_in_a_filter_gets_more(staff: Client, alice: User, bob: User, team: Group) -> None:
    Quota.objects.create(plan=Plan.objects.get(is_default=True), unit=Unit.MESSAGES, period=QuotaPeriod.DAY, limit=10)
    carol = User.objects.create(email="carol@example.org")
    address = f"/admin/accounts/user/raise/?groups__id__exact={team.pk}"
    shown = staff.get(address).content.decode()
    assert "2 users · Team" in shown
    assert staff.post(address, {"percent": "20"}).status_code == 200, "a reason is needed"
    answer = staff.post(address, {"percent": "20", "reason": "exam"})
    assert answer["Location"] == f"../?groups__id__exact={team.pk}"
    assert (limits(alice), limits(bob), limits(carol)) == ([Decimal(12)], [Decimal(12)], [Decimal(10)])
    [entry] = AuditEntry.objects.filter(verb="raise_quotas")
    assert (set(entry.subjects), entry.reason) == ({alice.pk, bob.pk}, "exam")
    assert entry.details.startswith("20 % for 2 users")
    assert set(TopUp.objects.values_list("by__email", flat=True)) == {"sam@example.org"}


def test_the_list_leads_there_with_its_filters(staff: Client) -> None:
    listed = staff.get("/admin/accounts/user/?plan__isnull=True").content.decode()
    assert "Raise quotas…" in listed
    action = staff.get(
        "/admin/accounts/user/raise_quotas_of_list/",
        headers={"referer": "http://testserver/admin/accounts/user/?q=ana"},
    )
    assert action["Location"] == "/admin/accounts/user/raise/?q=ana"


def test_not_without_the_permission(alice: User) -> None:
    assert staff_client("view_user").get("/admin/accounts/user/raise/").status_code == 403
