"""What answers cost: the price of the moment, the model and the endpoint, exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.plans import DailyUsage, Unit, UsageEntry
from chat.errors import QuotaExceeded
from chat.models import Run
from chat.queries import usage_of
from tests.integration.quota_rows import MODEL, end, give, price, send, standing, tokens

pytestmark = pytest.mark.usefixtures("one_model")


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


@pytest.mark.django_db
def test_a_negative_price_is_refused() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        price(datetime.now(UTC), "-1", "1")
