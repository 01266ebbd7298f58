"""Quotas on real PostgreSQL: reserved when a turn is admitted, settled when its run ends, and a ledger that adds up."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.db.models import ProtectedError

from accounts import quotas
from accounts.ledger import check_ledger
from accounts.models import User
from accounts.plans import Allowance, DailyUsage, Plan, Price, Quota, Reservation, TopUp, Unit, UsageEntry
from accounts.usage import Used, settle_recording, settle_run
from chat import catalog, recordings, turns
from chat.errors import ChatError, QuotaExceeded, RateLimited
from chat.models import RecordingStatus, Run, RunStatus
from chat.protocol import AudioStart, MessageRegenerate, MessageSend
from chat.queries import usage_of
from chat.runs import Ended, Ending, claim, end_run, requeue
from tests.conftest import make_user

MODEL = "small"


@pytest.fixture(autouse=True)
def _one_model(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(catalog, "offered_models", lambda: [{"id": MODEL, "label": MODEL}])
    settings.RATE_RUNS_PER_USER = 0
    settings.QUOTA_INPUT_TOKENS = settings.QUOTA_OUTPUT_TOKENS = 1000


def send(user: User, conversation: uuid.UUID | None = None, text: str = "Hello") -> turns.Accepted:
    return turns.accept(user.pk, MessageSend(conversation_id=conversation, client_id=uuid.uuid4(), text=text))


def tokens(into: int, out: int, text: str = "An answer", **more: Any) -> Ending:
    return Ending(text, input_tokens=into, output_tokens=out, **more)


def end(run_id: uuid.UUID, ending: Ending | None = None, status: RunStatus = RunStatus.DONE) -> Ended:
    claimed = claim(run_id, "worker")
    assert claimed is not None
    ended = end_run(run_id, claimed.run.attempt, status, ending or tokens(10, 20), owner="worker")
    assert ended is not None
    return ended


def give(user: User, limit: float | str, unit: Unit = Unit.MESSAGES, period: str = "day", **more: Any) -> Quota:
    return Quota.objects.create(user=user, unit=unit, period=period, limit=Decimal(limit), **more)


def standing(user: User) -> dict[str, tuple[float | Decimal, float | Decimal]]:
    """Used and reserved, by unit."""
    return {left.unit: (left.used, left.reserved) for left in quotas.quotas_left(user.pk)}


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives, or raises, in threads that start at once, each with a connection of its own."""
    barrier, results = threading.Barrier(count), []

    def run(number: int) -> None:
        barrier.wait()
        try:
            results.append(work(number))
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- admitted exactly -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("unit", [Unit.MESSAGES, Unit.OUTPUT_TOKENS])
def test_fifty_at_once_with_room_for_ten_are_ten(unit: Unit) -> None:
    alice = make_user("Alice")
    give(alice, 10 if unit == Unit.MESSAGES else 10_000, unit)
    give(alice, 1_000_000, Unit.INPUT_TOKENS)
    results = together(50, lambda _: send(alice))
    admitted = [one for one in results if isinstance(one, turns.Accepted)]
    refused = [one for one in results if isinstance(one, QuotaExceeded)]
    assert (len(admitted), len(refused)) == (10, 40), results
    assert all(one.retry_after and 0 < one.retry_after <= 86_400 for one in refused)
    assert Run.objects.count() == 10, "nothing of a refused turn stays"
    assert standing(alice)[unit][1] == (10 if unit == Unit.MESSAGES else 10_000)
    # They end while others ask: no deadlock, and what is free is given out again, once.
    together(10, lambda number: end(admitted[number].run_id, tokens(5, 100)))
    assert standing(alice)[unit] == ((10, 0) if unit == Unit.MESSAGES else (1000, 0))
    assert check_ledger() == []
    assert Reservation.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_ending_and_asking_at_once_never_loses_count() -> None:
    alice = make_user("Alice")
    give(alice, 1000)
    give(alice, 100_000, Unit.OUTPUT_TOKENS, "month")
    give(alice, 100_000, Unit.INPUT_TOKENS, "hour")

    def work(_: int) -> None:
        for _ in range(5):
            end(send(alice).run_id, tokens(7, 9))

    assert [one for one in together(8, work) if one] == []
    used = standing(alice)
    assert used == {"messages": (40, 0), "output_tokens": (360, 0), "input_tokens": (280, 0)}
    assert check_ledger() == []


@pytest.mark.django_db(transaction=True)
def test_a_quota_made_while_runs_end_counts_each_of_them() -> None:
    alice = make_user("Alice")
    runs = [send(alice).run_id for _ in range(12)]

    def work(number: int) -> None:
        if number == 5:
            give(alice, 1000)
        if number % 3 == 0:
            send(alice)
        end(runs[number])

    assert [one for one in together(12, work) if one] == []
    send(alice)
    assert check_ledger() == []
    assert standing(alice)["messages"][0] == 12


class Elsewhere(threading.Thread):
    """Work on a connection of its own. `blocked` waits until PostgreSQL says that it waits for a lock."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self.work = work
        self.pid: int | None = None
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                [self.pid] = cursor.fetchone()
            self.outcome = self.work()
        except Exception as error:
            self.outcome = error
        finally:
            connections.close_all()

    def blocked(self) -> bool:
        """False when the work was done without waiting."""
        with connection.cursor() as cursor:
            while self.is_alive():
                cursor.execute("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [self.pid])
                row = cursor.fetchone()
                if row and row[0]:
                    return True
                time.sleep(0.01)
        return False


@pytest.mark.django_db(transaction=True)
def test_a_new_allowance_waits_for_an_entry_that_is_being_written() -> None:
    alice = make_user("Alice")
    run = send(alice).run_id
    give(alice, 5)
    with transaction.atomic():
        end(run)
        asking = Elsewhere(lambda: send(alice))
        assert asking.blocked()
    asking.join()
    assert isinstance(asking.outcome, turns.Accepted), asking.outcome
    assert standing(alice) == {"messages": (1, 1)}
    assert check_ledger() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("begun", [False, True])
def test_a_turn_waits_for_the_one_that_may_be_one_too_many(begun: bool, settings: Any) -> None:
    alice = make_user("Alice")
    places = [send(alice) for _ in range(2)] if begun else []
    for place in places:
        end(place.run_id)
    first, second = [place.conversation_id for place in places] or (None, None)
    settings.RATE_RUNS_PER_USER = 1
    with transaction.atomic():
        send(alice, first)
        asking = Elsewhere(lambda: send(alice, second))
        assert asking.blocked()
    asking.join()
    assert isinstance(asking.outcome, RateLimited), asking.outcome


@pytest.mark.django_db(transaction=True)
def test_so_many_answers_at_once_and_no_more(settings: Any) -> None:
    settings.RATE_RUNS_PER_USER = 3
    alice, bob = make_user("Alice"), make_user("Bob")
    results = together(12, lambda number: send(alice if number % 4 else bob))
    assert sum(isinstance(one, turns.Accepted) for one in results) == 6, results
    refused = [one for one in results if not isinstance(one, turns.Accepted)]
    assert {type(one) for one in refused} == {RateLimited}
    assert all(one.retry_after for one in refused)
    end(Run.objects.filter(requested_by=alice)[0].pk)
    send(alice)


# --- settled ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_was_used_counts_and_what_was_held_back_is_free(alice: User) -> None:
    for unit, limit in ((Unit.MESSAGES, 5), (Unit.INPUT_TOKENS, 10_000), (Unit.OUTPUT_TOKENS, 10_000)):
        give(alice, limit, unit)
    run = send(alice).run_id
    assert standing(alice) == {"messages": (0, 1), "input_tokens": (0, 1000), "output_tokens": (0, 1000)}
    end(run, tokens(12, 345))
    assert standing(alice) == {"messages": (1, 0), "input_tokens": (12, 0), "output_tokens": (345, 0)}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ending", "status", "used"),
    [
        (None, RunStatus.STOPPED, 0),  # stopped in the queue
        (tokens(9, 0, "", usage_estimated=True), RunStatus.FAILED, 0),  # the endpoint was away
        (tokens(9, 4, "Half"), RunStatus.FAILED, 1),
        (tokens(9, 4, "Half"), RunStatus.STOPPED, 1),
        (Ending("Half an answer"), RunStatus.INTERRUPTED, 1),  # its worker was lost
    ],
)
def test_failures_are_free_and_halves_are_not(alice: User, ending: Ending | None, status: RunStatus, used: int) -> None:
    give(alice, 5)
    run = send(alice).run_id
    if ending is None:
        assert end_run(run, 0, status) is not None
    else:
        end(run, ending, status)
    assert standing(alice) == {"messages": (used, 0)}
    assert UsageEntry.objects.count() == used
    entry = UsageEntry.objects.first()
    if entry and ending and ending.output_tokens is None:
        assert (entry.output_tokens, entry.estimated) == (4, True)
    assert check_ledger() == []


@pytest.mark.django_db
def test_another_attempt_holds_what_the_first_held(alice: User) -> None:
    give(alice, 1)
    run = send(alice).run_id
    assert claim(run, "worker") is not None
    assert requeue(run, 1, owner="worker") is not None
    assert standing(alice) == {"messages": (0, 1)}
    end(run)
    assert end_run(run, 2, RunStatus.DONE, tokens(1, 1)) is None
    settle_run(alice.pk, run, Run.objects.get().created_at, Used(MODEL, messages=1))
    assert standing(alice) == {"messages": (1, 0)}, "one answer, one bill"
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_lost_workers_run_gives_back_when_the_reaper_ends_it(alice: User) -> None:
    give(alice, 1)
    run = send(alice).run_id
    claim(run, "lost")
    Run.objects.update(lease_expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(QuotaExceeded):
        send(alice)
    ending = Ending("", error_code="attempts_exhausted")
    assert end_run(run, 1, RunStatus.FAILED, ending, expired=True) is not None
    send(alice)


# --- which quota holds ------------------------------------------------------------------------------------------------


def refused(user: User) -> bool:
    """Whether the next message is too many; leaves nothing behind."""
    with transaction.atomic():
        try:
            send(user)
        except QuotaExceeded:
            return True
        finally:
            transaction.set_rollback(True)
    return False


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
        turns.accept(alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))


# --- periods ----------------------------------------------------------------------------------------------------------


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
    at = quotas._LEFT.replace("statement_timestamp() AS at", f"(SELECT timestamptz '{now}' AS at) AS clock")
    with connection.cursor() as cursor:
        cursor.execute(at, {"user": alice.pk})
        [row] = cursor.fetchall()
    assert (row[12], row[6]) == (datetime.fromisoformat(start), datetime.fromisoformat(until))


@pytest.mark.django_db
def test_a_fixed_quota_never_renews_and_what_was_used_before_it_does_not_count(alice: User) -> None:
    end(send(alice).run_id)
    give(alice, 1, period="fixed")
    end(send(alice).run_id)
    with pytest.raises(QuotaExceeded) as full:
        send(alice)
    assert full.value.retry_after is None
    assert "in all" in full.value.message


@pytest.mark.django_db
def test_a_quota_counts_what_its_period_had_used_before_it_was_made(alice: User) -> None:
    for _ in range(2):
        end(send(alice).run_id)
    give(alice, 3)
    send(alice)
    assert refused(alice)


# --- money ------------------------------------------------------------------------------------------------------------


def price(valid_from: datetime, into: str, out: str, **more: Any) -> Price:
    return Price.objects.create(
        valid_from=valid_from, input_per_million=Decimal(into), output_per_million=Decimal(out), **more
    )


@pytest.mark.django_db
def test_the_price_of_the_moment_and_the_model_exactly(alice: User) -> None:
    now = datetime.now(UTC)
    price(now - timedelta(days=9), "100", "100")
    price(now - timedelta(days=9), "1", "1", model=MODEL)
    price(now - timedelta(days=1), "0.15", "0.6", model=MODEL, cached_per_million=Decimal("0.075"))
    price(now + timedelta(days=1), "99", "99", model=MODEL)
    price(now - timedelta(days=5), "3", "15", model=MODEL, endpoint="dear.example")
    ended = end(send(alice).run_id, tokens(1001, 333, cached_tokens=1))
    run = Run.objects.get()
    assert run.cost == Decimal("0.000349875")  # (1000 × 0.15 + 1 × 0.075 + 333 × 0.6) / 1e6
    assert usage_of(run)["cost"] == "0.000349875"
    assert b'"cost":"0.000349875"' in ended.event[0]
    end(send(alice).run_id, tokens(1, 1, endpoint="dear.example"))
    assert {entry.cost for entry in UsageEntry.objects.all()} == {Decimal("0.000349875"), Decimal("0.000018")}
    [cheap, dear] = DailyUsage.objects.order_by("endpoint")
    assert (cheap.cost, dear.cost) == (Decimal("0.000349875"), Decimal("0.000018"))


@pytest.mark.django_db
def test_without_a_price_the_cost_is_unknown_and_a_spending_limit_refuses(alice: User) -> None:
    end(send(alice).run_id)
    assert Run.objects.get().cost is None
    assert DailyUsage.objects.get().unpriced == 1
    limit = give(alice, 1, Unit.MONEY)
    with pytest.raises(QuotaExceeded, match="no price"):
        send(alice)
    limit.hard = False
    limit.save()
    send(alice)


@pytest.mark.django_db
def test_money_runs_out(alice: User) -> None:
    price(datetime.now(UTC) - timedelta(days=1), "1000", "2000", model=MODEL)
    give(alice, "4", Unit.MONEY)
    run = send(alice).run_id
    assert standing(alice) == {"money": (0, 3)}, "1000 tokens in and out, as the settings guess"
    end(run, tokens(1000, 1500))
    assert standing(alice) == {"money": (4, 0)}
    with pytest.raises(QuotaExceeded):
        send(alice)


# --- more, and again --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_administrators_topping_up_at_once_both_count() -> None:
    alice = make_user("Alice")
    quota = give(alice, 1)
    results = together(8, lambda _: quotas.top_up(alice.pk, quota.pk, Decimal(2)))
    assert {type(one) for one in results} == {TopUp}, results
    assert quotas.quotas_left(alice.pk)[0].limit == 17
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_reset_gives_back_what_was_used_once(alice: User) -> None:
    quota = give(alice, 2)
    assert quotas.reset(alice.pk, quota.pk) is None
    for _ in range(2):
        end(send(alice).run_id)
    assert refused(alice)
    assert quotas.reset(alice.pk, quota.pk) is not None
    assert quotas.reset(alice.pk, quota.pk) is None
    assert quotas.quotas_left(alice.pk)[0].left == 2
    assert check_ledger() == []


@pytest.mark.django_db
@pytest.mark.parametrize("amount", ["0", "-1", "1e13", "NaN", "0.00000000001"])
def test_a_top_up_that_is_none_is_refused(alice: User, amount: str) -> None:
    quota = give(alice, 2)
    with pytest.raises(ValidationError):
        quotas.top_up(alice.pk, quota.pk, Decimal(amount))


@pytest.mark.django_db
def test_topping_up_somebody_elses_quota_is_refused(alice: User, bob: User) -> None:
    quota = give(alice, 2)
    with pytest.raises(Quota.DoesNotExist):
        quotas.top_up(bob.pk, quota.pk, Decimal(1))


# --- bad input --------------------------------------------------------------------------------------------------------


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
        with pytest.raises(ValidationError, match="one of them"):
            Quota(limit=Decimal(1), **owner).full_clean()
    give(alice, 1)
    with pytest.raises(ValidationError, match="already"):
        Quota(user=alice, limit=Decimal(2)).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        give(alice, 2)


@pytest.mark.django_db
def test_a_time_zone_that_does_not_exist_is_refused_by_form_and_database() -> None:
    with pytest.raises(ValidationError, match="no such time zone"):
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


@pytest.mark.django_db
def test_a_negative_price_is_refused() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        price(datetime.now(UTC), "-1", "1")


@pytest.mark.django_db
def test_the_ledger_cannot_be_rewritten(alice: User) -> None:
    end(send(alice).run_id)
    for change in (lambda: UsageEntry.objects.update(messages=0), lambda: UsageEntry.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


# --- the check --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_every_kind_of_wrong_is_found_and_put_right(alice: User) -> None:
    price(datetime.now(UTC) - timedelta(days=1), "1", "1")
    give(alice, 10)
    for _ in range(3):
        end(send(alice).run_id)
    gone = send(alice)
    assert check_ledger() == []
    Run.objects.filter(pk=gone.run_id).delete()
    Allowance.objects.update(used=7, extra=3)
    DailyUsage.objects.update(cost=99)
    wrong = check_ledger()
    assert [line.split(" ", 1)[0] for line in wrong] == ["1"] * 4, wrong
    assert check_ledger() == wrong, "looking changes nothing"
    assert set(wrong) < set(check_ledger(repair=True))
    assert check_ledger() == []
    assert standing(alice) == {"messages": (3, 0)}
    assert DailyUsage.objects.get().cost == sum(entry.cost or 0 for entry in UsageEntry.objects.all())


@pytest.mark.django_db
def test_spoken_seconds_count_once(alice: User) -> None:
    price(datetime.now(UTC) - timedelta(days=1), "0", "0", model="whisper", audio_per_minute=Decimal("0.006"))
    give(alice, 60, Unit.AUDIO_SECONDS)
    quotas.check_audio(alice.pk)
    quotas.top_up(alice.pk, Quota.objects.get().pk, Decimal(1))
    recording = uuid.uuid4()
    for _ in range(2):
        settle_recording(alice.pk, recording, datetime.now(UTC), Used("whisper", audio_seconds=Decimal("61.5")))
    assert standing(alice) == {"audio_seconds": (Decimal("61.5"), 0)}
    assert UsageEntry.objects.get().cost == Decimal("0.00615")
    with pytest.raises(quotas.QuotaFull):
        quotas.check_audio(alice.pk)
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_recording_counts_when_it_is_closed_and_none_begins_beyond_the_limit(alice: User) -> None:
    def speak() -> uuid.UUID:
        return recordings._insert(
            alice.pk,
            AudioStart(
                conversation_id=None,
                client_id=uuid.uuid4(),
                encoding="pcm_s16le",
                sample_rate=16000,
                mode="auto",
                auto_send=False,
            ),
        )

    give(alice, 5, Unit.AUDIO_SECONDS)
    recording = speak()
    for _ in range(2):
        recordings.finish(recording, RecordingStatus.DONE, reason="stop", audio_ms=5500, backend="pocketsphinx")
    assert standing(alice) == {"audio_seconds": (Decimal("5.5"), 0)}
    with pytest.raises(QuotaExceeded, match="5 seconds of speech today"):
        speak()
    alice.is_staff = True
    alice.save()
    speak()


@pytest.mark.django_db
def test_nobodys_run_is_put_down_without_a_name(alice: User) -> None:
    run = send(alice).run_id
    Run.objects.update(requested_by=None)
    end(run)
    assert UsageEntry.objects.get().user_id is None
    assert check_ledger() == []


def test_chat_errors_carry_the_wait() -> None:
    error: ChatError = QuotaExceeded("All used.", retry_after=12)
    assert (error.code, error.retry_after) == ("quota_exceeded", 12)
