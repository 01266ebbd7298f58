"""Top-ups, resets and periods of shared quotas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from accounts.models import Allowance, Plan, Quota, TopUp, User
from accounts.quotas import top_ups
from accounts.quotas.balance import SHARED_BALANCES, shared_balances
from chat.recovery.ledger import check_ledger
from tests.conftest import make_user
from tests.fixtures.quota_rows import end, give, refused, send, together
from tests.integration.accounts.quotas.shared_quotas import share, team

pytestmark = pytest.mark.usefixtures("one_model")


@pytest.mark.django_db
def test_top_ups_and_resets_are_the_pots(alice: User, bob: User) -> None:
    group = team(alice, bob)
    quota = share(group, 1)
    end(send(alice).run_id)
    assert refused(bob)
    top_ups.top_up(alice.pk, quota.pk, Decimal(1))
    top_ups.top_up(None, quota.pk, Decimal(1))
    end(send(bob).run_id)
    end(send(alice).run_id)
    assert refused(alice)
    assert refused(bob)
    made = top_ups.reset(bob.pk, quota.pk)
    assert made is not None
    assert made.amount == 3
    assert top_ups.reset(None, quota.pk) is None
    assert not refused(alice)
    assert set(TopUp.objects.values_list("user", flat=True)) == {None}
    assert check_ledger() == []
    alice.delete()
    assert check_ledger() == [], "whoever asked for it"
    assert shared_balances(group.pk)[0].limit == 6
    with pytest.raises(Quota.DoesNotExist):
        top_ups.top_up(None, give(bob, 1).pk, Decimal(1))


@pytest.mark.django_db(transaction=True)
def test_topping_a_new_pot_up_at_once_counts_each() -> None:
    members = [make_user(f"Member{number}") for number in range(4)]
    quota = share(team(*members), 1)
    results = together(8, lambda number: top_ups.top_up(members[number % 4].pk, quota.pk, Decimal(2)))
    assert {type(one) for one in results} == {TopUp}, results
    assert Allowance.objects.get().extra == 16
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_pots_periods_are_the_same_for_all(alice: User, bob: User) -> None:
    Plan.objects.filter(is_default=True).update(time_zone="Asia/Kathmandu")
    bob.plan = Plan.objects.create(name="Far away", time_zone="Pacific/Honolulu")
    bob.save()
    group = team(alice, bob)
    share(group, 9)
    end(send(alice).run_id)
    end(send(bob).run_id)
    assert Allowance.objects.get().used == 2
    clock = "statement_timestamp() AS at", "(SELECT timestamptz '2026-11-23T18:20:00Z' AS at) AS clock"
    with connection.cursor() as cursor:
        cursor.execute(SHARED_BALANCES.replace(*clock), {"quota": None, "group": group.pk})
        [row] = cursor.fetchall()
    assert (row[11], row[6]) == (
        datetime(2026, 11, 23, 18, 15, tzinfo=UTC),
        datetime(2026, 11, 23, 18, 15, tzinfo=UTC) + timedelta(days=1),
    )
