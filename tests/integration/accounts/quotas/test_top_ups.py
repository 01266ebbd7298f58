"""More of a quota, and again from the start."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Quota, TopUp, User
from accounts.quotas import top_ups
from accounts.quotas.balance import user_balances
from chat.recovery.ledger import check_ledger
from tests.conftest import make_user
from tests.fixtures.quota_rows import end, give, refused, send, together

pytestmark = pytest.mark.usefixtures("one_model")


@pytest.mark.django_db(transaction=True)
def test_two_administrators_topping_up_at_once_both_count() -> None:
    alice = make_user("Alice")
    quota = give(alice, 1)
    results = together(8, lambda _: top_ups.top_up(alice.pk, quota.pk, Decimal(2)))
    assert {type(one) for one in results} == {TopUp}, results
    assert user_balances(alice.pk)[0].limit == 17
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_reset_gives_back_what_was_used_once(alice: User) -> None:
    quota = give(alice, 2)
    assert top_ups.reset(alice.pk, quota.pk) is None
    for _ in range(2):
        end(send(alice).run_id)
    assert refused(alice)
    assert top_ups.reset(alice.pk, quota.pk) is not None
    assert top_ups.reset(alice.pk, quota.pk) is None
    assert user_balances(alice.pk)[0].remaining == 2
    assert check_ledger() == []


@pytest.mark.django_db
@pytest.mark.parametrize("amount", ["0", "-1", "1e13", "NaN", "0.00000000001"])
def test_a_top_up_that_is_none_is_refused(alice: User, amount: str) -> None:
    quota = give(alice, 2)
    with pytest.raises(ValidationError):
        top_ups.top_up(alice.pk, quota.pk, Decimal(amount))


@pytest.mark.django_db
def test_topping_up_somebody_elses_quota_is_refused(alice: User, bob: User) -> None:
    quota = give(alice, 2)
    with pytest.raises(Quota.DoesNotExist):
        top_ups.top_up(bob.pk, quota.pk, Decimal(1))
