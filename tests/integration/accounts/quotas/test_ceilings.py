"""What an answer in progress may still write, by its user's hard quotas."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from django.db import connection

from accounts.models import Quota, Unit, User
from accounts.quotas.ceilings import Ceiling, reserve_output
from chat.recovery.ledger import check_ledger
from tests.conftest import make_user
from tests.fixtures.quota_rows import MODEL, end, give, price, send, standing, together, tokens

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


def test_staff_and_users_without_quotas_have_no_ceiling(alice: User, bob: User) -> None:
    give(bob, 5, Unit.OUTPUT_TOKENS)
    bob.is_staff = True
    bob.save()
    assert reserve(send(alice).run_id) is None
    assert reserve(send(bob).run_id) is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_reservation")
        assert cursor.fetchone()[0] == 0
