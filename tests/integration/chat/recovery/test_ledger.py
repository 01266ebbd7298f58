"""A ledger that adds up, and is put right where hands did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from accounts.models import Allowance, DailyUsage, UsageEntry, User
from chat.models import Run
from chat.recovery.ledger import check_ledger
from tests.fixtures.quota_rows import end, give, price, send, standing

pytestmark = pytest.mark.usefixtures("one_model")


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
def test_the_ledger_cannot_be_rewritten(alice: User) -> None:
    end(send(alice).run_id)
    for change in (lambda: UsageEntry.objects.update(messages=0), lambda: UsageEntry.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()
