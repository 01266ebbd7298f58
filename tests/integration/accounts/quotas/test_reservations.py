"""Quotas on real PostgreSQL: reserved when a turn is admitted, settled when its run ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Reservation, Unit, UsageEntry, User
from accounts.quotas.settlement import Used, settle_run
from chat.models import Run, RunStatus
from chat.protocol.errors import QuotaExceeded, RateLimited
from chat.recovery.ledger import check_ledger
from chat.runs.claims import claim, requeue
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from tests.conftest import make_user
from tests.fixtures.quota_rows import MODEL, Elsewhere, end, give, send, standing, together, tokens

pytestmark = pytest.mark.usefixtures("one_model")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("unit", [Unit.MESSAGES, Unit.OUTPUT_TOKENS])
def test_fifty_at_once_with_room_for_ten_are_ten(unit: Unit) -> None:
    alice = make_user("Alice")
    give(alice, 10 if unit == Unit.MESSAGES else 10_000, unit)
    give(alice, 1_000_000, Unit.INPUT_TOKENS)
    results = together(50, lambda _: send(alice))
    admitted = [one for one in results if isinstance(one, Accepted)]
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
    assert isinstance(asking.outcome, Accepted), asking.outcome
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
    assert sum(isinstance(one, Accepted) for one in results) == 6, results
    refused = [one for one in results if not isinstance(one, Accepted)]
    assert {type(one) for one in refused} == {RateLimited}
    assert all(one.retry_after for one in refused)
    end(Run.objects.filter(requested_by=alice)[0].pk)
    send(alice)


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
