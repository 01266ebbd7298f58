"""What changes while people use what they may: limits, plans, groups, people, prices and the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import Allowance, Plan, Quota, Reservation, Unit, UsageEntry, User
from accounts.quotas import reservations, top_ups
from accounts.quotas.balance import user_balances
from chat.models import Run
from chat.recovery.ledger import check_ledger, free_orphans
from tests.fixtures.quota_rows import MODEL, end, give, price, refused, send, standing, tokens

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_model")]


def test_a_limit_lowered_below_what_is_used_refuses_until_it_renews(alice: User) -> None:
    give(alice, 5)
    for _ in range(3):
        end(send(alice).run_id)
    Quota.objects.update(limit=1)
    [balance] = user_balances(alice.pk)
    assert balance.is_near_limit
    assert balance.remaining == 0
    assert refused(alice)
    Quota.objects.update(limit=4)
    assert not refused(alice)
    assert check_ledger() == []


def test_a_plan_switched_in_the_middle_of_a_period_counts_what_was_used_before(alice: User) -> None:
    gold = Plan.objects.create(name="Gold")
    for plan, limit in ((Plan.objects.get(is_default=True), 2), (gold, 3)):
        Quota.objects.create(plan=plan, unit=Unit.MESSAGES, period="month", limit=limit)
    end(send(alice).run_id)
    under_way = send(alice).run_id
    assert refused(alice)
    alice.plan = gold
    alice.save()
    third = send(alice).run_id
    end(under_way)
    assert refused(alice), "three of three: one used before, one ended after the switch, one under way"
    end(third)
    assert standing(alice) == {"messages": (3, 0)}
    alice.plan = None
    alice.save()
    assert refused(alice), "and going back forgets nothing"
    assert check_ledger() == []


def test_a_reset_while_an_answer_is_written_leaves_that_one_counted(alice: User) -> None:
    quota = give(alice, 2)
    end(send(alice).run_id)
    run = send(alice).run_id
    made = top_ups.reset(alice.pk, quota.pk)
    assert made is not None
    assert made.amount == 1
    end(run)
    [balance] = user_balances(alice.pk)
    assert [int(one) for one in (balance.used, balance.reserved, balance.remaining)] == [2, 0, 1]
    assert check_ledger() == []


@pytest.mark.parametrize("what", ["quota", "group", "user"])
def test_what_is_deleted_while_an_answer_is_written_leaves_nothing_held(alice: User, what: str) -> None:
    group = Group.objects.create(name="Team")
    alice.groups.add(group)
    if what == "group":
        Quota.objects.create(group=group, unit=Unit.MESSAGES, period="day", limit=5)
    else:
        give(alice, 5)
    run = send(alice).run_id
    {"quota": Quota.objects.all(), "group": group, "user": alice}[what].delete()  # type: ignore[attr-defined]
    assert Reservation.objects.count() == 0
    end(run)
    free_orphans()
    assert UsageEntry.objects.get().run_id == run, "what was used is put down all the same"
    assert Run.objects.get().status == "done"
    assert check_ledger() == []


def test_a_quota_that_has_counted_stays_of_its_kind(alice: User) -> None:
    quota = give(alice, 5)
    quota.period = "hour"
    quota.full_clean()
    quota.period = "day"
    end(send(alice).run_id)
    quota.limit = Decimal(7)
    quota.hard = False
    quota.full_clean()
    for name, value in (("unit", Unit.MONEY), ("period", "hour"), ("model", MODEL)):
        changed = Quota.objects.get()
        setattr(changed, name, value)
        with pytest.raises(ValidationError, match="already counted"):
            changed.full_clean()


def test_a_clock_set_back_counts_everything_in_its_own_period(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    give(alice, 2)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with monkeypatch.context() as ahead:
        at = f"(SELECT timestamptz '{tomorrow.isoformat()}' AS at) AS clock"
        usual = reservations._RESERVE
        moved = PreparedStatement(usual.sql.replace("statement_timestamp() AS at", at), usual.types)
        ahead.setattr(reservations, "_RESERVE", moved)
        early = send(alice).run_id
        Run.objects.filter(pk=early).update(created_at=tomorrow)
    late = [send(alice).run_id for _ in range(2)]
    assert refused(alice), "today's two are taken, whatever was held tomorrow"
    for run in (early, *late):
        end(run)
    assert sorted(Allowance.objects.values_list("used", "reserved")) == [(1, 0), (2, 0)]
    assert check_ledger() == []


def test_a_price_that_comes_or_goes_while_an_answer_is_written(alice: User) -> None:
    give(alice, 100, Unit.MONEY)
    made = price(datetime.now(UTC) - timedelta(hours=1), "1", "1", model=MODEL)
    first = send(alice).run_id
    made.delete()
    end(first, tokens(1000, 1000))
    assert Run.objects.get(pk=first).cost is None
    assert refused(alice), "a model without a price is not let in under a spending limit"
    price(datetime.now(UTC) + timedelta(hours=1), "1", "1", model=MODEL)
    assert refused(alice), "and a price that is still to come is none"
    price(datetime.now(UTC), "1000", "1000", model=MODEL)
    second = send(alice).run_id
    end(second, tokens(1000, 1000))
    assert Run.objects.get(pk=second).cost == 2
    assert standing(alice) == {"money": (2, 0)}
    assert check_ledger() == []
