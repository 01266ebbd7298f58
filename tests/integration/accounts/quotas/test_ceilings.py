"""What an answer in progress may still write, by its user's hard quotas."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Allowance, Quota, Reservation, Unit, User
from accounts.quotas.ceilings import Ceiling, known_ceiling, reserve_output
from chat.recovery.ledger import check_ledger
from chat.runs.claims import claim
from tests.conftest import make_user
from tests.fixtures.quota_rows import MODEL, Elsewhere, end, give, price, send, standing, together, tokens

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_model")]
OLD = datetime(2026, 1, 1, tzinfo=UTC)


def reserve(run_id: uuid.UUID, wanted: int = 0, input_tokens: int = 0) -> Ceiling | None:
    return reserve_output(run_id, MODEL, input_tokens=input_tokens, wanted=wanted)


def at_most(run_id: uuid.UUID, wanted: int = 0, input_tokens: int = 0) -> tuple[int, int]:
    ceiling = reserve(run_id, wanted, input_tokens)
    assert ceiling is not None
    return ceiling.reserved, ceiling.possible


def test_an_answer_reserves_step_by_step_up_to_what_is_left(alice: User) -> None:
    give(alice, 1500, Unit.OUTPUT_TOKENS)
    run = send(alice).run_id
    assert at_most(run) == (1000, 1500)
    assert standing(alice) == {"output_tokens": (0, 1000)}
    assert at_most(run, 1200) == (1200, 1500)
    assert at_most(run, 2400) == (1500, 1500)
    assert standing(alice) == {"output_tokens": (0, 1500)}
    assert check_ledger() == []
    end(run, tokens(5, 1500))
    assert standing(alice) == {"output_tokens": (1500, 0)}


def test_parallel_answers_together_stay_within_the_limit(alice: User) -> None:
    give(alice, 1500, Unit.OUTPUT_TOKENS)
    first = send(alice).run_id
    assert at_most(first) == (1000, 1500)
    second = send(alice).run_id
    assert at_most(second) == (500, 500), "what the first has reserved is not there for the second"
    assert at_most(first, 1500) == (1000, 1000)
    assert standing(alice) == {"output_tokens": (0, 1500)}
    end(second, tokens(1, 100))
    assert at_most(first, 1500) == (1400, 1400)
    assert check_ledger() == []


@pytest.mark.django_db(transaction=True)
def test_answers_that_reserve_at_once_never_exceed_the_limit() -> None:
    alice = make_user("Alice")
    give(alice, 5_000, Unit.OUTPUT_TOKENS)
    runs = [send(alice).run_id for _ in range(4)]
    ceilings = together(4, lambda number: [at_most(runs[number], wanted) for wanted in (1200, 1500, 3000)][-1])
    assert sum(one[0] for one in ceilings) <= 5_000
    assert standing(alice)["output_tokens"] == (0, sum(one[0] for one in ceilings))
    assert check_ledger() == []


@pytest.mark.django_db(transaction=True)
def test_answers_that_are_claimed_at_once_never_exceed_the_limit() -> None:
    """Four have reserved 4000 of 3500. Whoever is claimed last sees that, and gives back before it starts."""
    alice = make_user("Alice")
    give(alice, 3_500, Unit.OUTPUT_TOKENS)
    runs = [send(alice).run_id for _ in range(4)]

    def start(number: int) -> int:
        claimed = claim(runs[number], "worker")
        assert claimed is not None
        ceiling, must_change = known_ceiling(claimed.quotas, 0)
        if must_change:
            ceiling = reserve_output(runs[number], MODEL, input_tokens=0, wanted=0, starts=True)
        assert ceiling is not None
        return ceiling.reserved

    assert sum(together(4, start)) == 3_500
    assert standing(alice)["output_tokens"] == (0, 3_500)


@pytest.mark.django_db(transaction=True)
def test_a_claim_waits_for_no_quota() -> None:
    alice = make_user("Alice")
    give(alice, 3_500, Unit.OUTPUT_TOKENS)
    run = send(alice).run_id
    with transaction.atomic():
        assert list(Allowance.objects.select_for_update())
        elsewhere = Elsewhere(lambda: claim(run, "worker"))
        assert not elsewhere.blocked()
    elsewhere.join()
    assert known_ceiling(elsewhere.outcome.quotas, 0)[0] == reserve(run)


def test_money_pays_for_the_input_first(alice: User) -> None:
    price(OLD, "1000", "2000")  # a thousandth for each token read, two for each written
    give(alice, "3.1", Unit.MONEY)
    run = send(alice).run_id
    assert at_most(run, 0, 500) == (1250, 1300)
    assert at_most(run, 5000, 500) == (1300, 1300)
    assert at_most(run, 5000, 3200) == (0, 0)
    assert check_ledger() == []


def test_a_free_model_and_soft_quotas_set_no_ceiling(alice: User) -> None:
    give(alice, 10, Unit.OUTPUT_TOKENS, hard=False)
    give(alice, 10, Unit.MESSAGES)
    assert reserve(send(alice).run_id) is None
    price(OLD, "0", "0")
    give(alice, 1, Unit.MONEY)
    reserved, possible = at_most(send(alice).run_id, 10**9)
    assert min(reserved, possible) > 10**9


def test_a_limit_that_is_lowered_stops_an_answer_in_progress(alice: User) -> None:
    quota = give(alice, 5000, Unit.OUTPUT_TOKENS)
    run = send(alice).run_id
    assert at_most(run, 2000) == (2000, 5000)
    Quota.objects.filter(pk=quota.pk).update(limit=300)
    ceiling = reserve(run, 2000)
    assert ceiling is not None
    assert (ceiling.reserved, ceiling.possible) == (300, 300)
    assert ceiling.message == "You have used up your quota of 300 output tokens today."
    assert check_ledger() == []


def test_the_narrowest_quota_decides(alice: User) -> None:
    give(alice, 5000, Unit.OUTPUT_TOKENS)
    give(alice, 2000, Unit.OUTPUT_TOKENS, "hour", model=MODEL)
    assert at_most(send(alice).run_id, 9000) == (2000, 2000)


def test_what_all_quotas_have_reserved_decides(alice: User) -> None:
    """The one with the least left may have more of it reserved than another."""
    price(OLD, "0", "1000")
    give(alice, "1.5", Unit.MONEY)  # 1500 tokens; 1000 are reserved
    run = send(alice).run_id
    assert at_most(run, 1400) == (1400, 1500)
    give(alice, 9000, Unit.OUTPUT_TOKENS)
    late = Allowance.objects.create(user=alice, quota=Quota.objects.latest("pk"), starts_at=timezone.now())
    Reservation.objects.create(run_id=run, allowance=late, amount=0)
    Allowance.objects.filter(pk=late.pk).update(used=9000)
    assert at_most(run, 1400) == (0, 0)
    Allowance.objects.filter(pk=late.pk).update(used=7000)
    claimed = claim(run, "worker")
    assert claimed is not None
    ceiling, must_change = known_ceiling(claimed.quotas, 0)
    assert ceiling is not None
    assert (ceiling.reserved, ceiling.possible, must_change) == (0, 1500, False)


def test_staff_and_users_without_quotas_have_no_ceiling(alice: User, bob: User) -> None:
    give(bob, 5, Unit.OUTPUT_TOKENS)
    bob.is_staff = True
    bob.save()
    assert reserve(send(alice).run_id) is None
    assert reserve(send(bob).run_id) is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_reservation")
        assert cursor.fetchone()[0] == 0
