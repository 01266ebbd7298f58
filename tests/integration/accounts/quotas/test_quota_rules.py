"""Which quotas hold for whom and when, and which there cannot be."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import ProtectedError

from accounts.models import Plan, Quota, Unit, UsageEntry, User
from accounts.quotas.balance import USER_BALANCES
from chat.models import Run
from chat.protocol.commands import MessageRegenerate
from chat.protocol.errors import QuotaExceeded
from chat.turns import accept
from tests.fixtures.quota_rows import MODEL, end, give, refused, send

pytestmark = pytest.mark.usefixtures("one_model")


@pytest.mark.django_db
def test_the_nearest_quota_holds(alice: User, bob: User) -> None:
    plan = Plan.objects.get(is_default=True)
    Quota.objects.create(plan=plan, unit=Unit.MESSAGES, period="day", limit=0)
    assert refused(alice)
    for name, limit in (("small", 0), ("large", 1)):
        group = Group.objects.create(name=name)
        alice.groups.add(group)
        Quota.objects.create(group=group, unit=Unit.MESSAGES, period="day", limit=limit)
    assert not refused(alice), "the most generous of her groups"
    give(alice, 0)
    assert refused(alice), "her own before those"
    give(bob, 1)
    assert not refused(bob)
    Quota.objects.create(plan=plan, unit=Unit.MESSAGES, period="month", limit=0)
    assert refused(bob), "another period holds beside it"


@pytest.mark.django_db
def test_quotas_of_a_model_hold_for_that_model(alice: User) -> None:
    give(alice, 0, model="large")
    assert not refused(alice)
    give(alice, 0, model=MODEL)
    assert refused(alice)


@pytest.mark.django_db
def test_a_soft_quota_warns_and_staff_pass(alice: User, bob: User) -> None:
    give(alice, 1, hard=False)
    [first, second] = [end(send(alice).run_id) for _ in range(2)]
    assert [left.frame()["used"] for left in (*first.near, *second.near)] == [1, 2]
    give(bob, 0)
    assert refused(bob)
    bob.is_staff = True
    bob.save()
    end(send(bob).run_id)
    assert UsageEntry.objects.filter(user=bob).count() == 1, "what staff uses is put down all the same"


@pytest.mark.django_db
def test_a_person_without_quotas_costs_no_statement(alice: User) -> None:
    def statements() -> int:
        with connection.execute_wrapper(count):
            seen.clear()
            send(alice)
            return len(seen)

    seen: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    without = statements()
    assert not any("accounts_reservation" in sql for sql in seen)
    give(alice, 100)
    statements()  # makes the allowance
    assert statements() == without + 1


@pytest.mark.django_db
def test_another_answer_counts_too(alice: User) -> None:
    give(alice, 1)
    accepted = send(alice)
    end(accepted.run_id)
    answer = Run.objects.get().message_id
    with pytest.raises(QuotaExceeded):
        accept.accept(alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "period", "now", "start", "until"),
    [
        ("UTC", "hour", "2026-11-23T12:34:56Z", "2026-11-23T12:00:00Z", "2026-11-23T13:00:00Z"),
        ("Asia/Kathmandu", "day", "2026-11-23T18:20:00Z", "2026-11-23T18:15:00Z", "2026-11-24T18:15:00Z"),
        ("UTC", "week", "2026-11-22T23:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("America/New_York", "month", "2026-11-23T12:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
        # Berlin puts clocks back at 01:00Z: the day has 25 hours, and its two hours "02:00" are two hours.
        ("Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("Europe/Berlin", "hour", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        ("Europe/Berlin", "hour", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
        # The Azores put them back at 01:00Z, when it is 01:00 there: midnight comes twice, the day begins at the first.
        ("Atlantic/Azores", "day", "2026-10-24T23:59:00Z", "2026-10-24T00:00:00Z", "2026-10-25T00:00:00Z"),
        ("Atlantic/Azores", "day", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z"),
        ("Atlantic/Azores", "day", "2026-10-25T01:30:00Z", "2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z"),
        ("America/Havana", "month", "2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
        ("America/Havana", "week", "2026-11-01T05:30:00Z", "2026-10-26T04:00:00Z", "2026-11-02T05:00:00Z"),
        # ... and forward: 23 hours.
        ("Europe/Berlin", "day", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
    ],
)
def test_periods_are_those_of_the_plans_calendar(
    alice: User, monkeypatch: pytest.MonkeyPatch, zone: str, period: str, now: str, start: str, until: str
) -> None:
    alice.plan = Plan.objects.create(name="Far away", time_zone=zone)
    alice.save()
    give(alice, 1, period=period)
    at = USER_BALANCES.replace("statement_timestamp() AS at", f"(SELECT timestamptz '{now}' AS at) AS clock")
    with connection.cursor() as cursor:
        cursor.execute(at, {"user": alice.pk})
        [row] = cursor.fetchall()
    assert (row[11], row[6]) == (datetime.fromisoformat(start), datetime.fromisoformat(until))


@pytest.mark.django_db
def test_a_fixed_quota_never_renews_and_what_was_used_before_it_does_not_count(alice: User) -> None:
    end(send(alice).run_id)
    give(alice, 1, period="fixed")
    end(send(alice).run_id)
    with pytest.raises(QuotaExceeded) as full:
        send(alice)
    assert full.value.retry_after is None
    assert "in total" in full.value.message


@pytest.mark.django_db
def test_a_quota_counts_what_its_period_had_used_before_it_was_made(alice: User) -> None:
    for _ in range(2):
        end(send(alice).run_id)
    give(alice, 3)
    send(alice)
    assert refused(alice)


@pytest.mark.django_db
@pytest.mark.parametrize("limit", ["-1", "1e13"])
def test_absurd_limits_are_refused_by_form_and_database(alice: User, limit: str) -> None:
    quota = Quota(user=alice, limit=Decimal(limit))
    with pytest.raises(ValidationError):
        quota.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        quota.save()


@pytest.mark.django_db
def test_a_quota_is_of_one_and_there_is_one_of_a_kind(alice: User) -> None:
    plan = Plan.objects.get()
    for owner in ({}, {"user": alice, "plan": plan}):
        with pytest.raises(ValidationError, match="Choose exactly one"):
            Quota(limit=Decimal(1), **owner).full_clean()
    give(alice, 1)
    with pytest.raises(ValidationError, match="already"):
        Quota(user=alice, limit=Decimal(2)).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        give(alice, 2)


@pytest.mark.django_db
def test_a_time_zone_that_does_not_exist_is_refused_by_form_and_database() -> None:
    with pytest.raises(ValidationError, match="This time zone does not exist"):
        Plan(name="Nowhere", time_zone="Mars/Olympus").full_clean()
    with pytest.raises(DatabaseError), transaction.atomic():
        Plan.objects.create(name="Nowhere", time_zone="Mars/Olympus")


@pytest.mark.django_db
def test_a_plan_in_use_stays(alice: User) -> None:
    plan = alice.plan = Plan.objects.create(name="Gold")
    alice.save()
    for one in (plan, Plan.objects.get(is_default=True)):
        with pytest.raises(ProtectedError):
            one.delete()
    alice.plan = None
    alice.save()
    plan.delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Plan.objects.create(name="Second default", is_default=True)
