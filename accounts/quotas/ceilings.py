"""How much an answer in progress may still write: what is left of its user's hard quotas of output tokens and money.

An answer reserves in steps while it is written. Its reservation never grows beyond what a quota has left, and a quota
that is over-reserved takes the difference back, so parallel answers together stay within the limit.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from accounts.models import Unit
from accounts.quotas.balance import Balance, balance_from_row
from accounts.quotas.wording import used_up_message

MILLION: Final = Decimal(1_000_000)
UNLIMITED: Final = 10**12  # tokens of a model that costs nothing

# In the order in which all statements lock allowances. The price is the one that `reserve` reckons with.
_HELD: Final = """
SELECT q.id, q.model, q.unit, q.period, q."limit", q.hard, a.ends_at, a.used, a.reserved, a.extra,
    CASE WHEN a.user_id IS NULL THEN COALESCE(g.name, '') ELSE '' END, r.id, a.id, r.amount,
    price.input_per_million, price.output_per_million
FROM accounts_reservation r JOIN accounts_allowance a ON a.id = r.allowance_id
JOIN accounts_quota q ON q.id = a.quota_id LEFT JOIN auth_group g ON g.id = q.group_id
LEFT JOIN LATERAL (
    SELECT input_per_million, output_per_million FROM accounts_price p
    WHERE p.model IN ('', %(model)s) AND p.valid_from <= statement_timestamp()
    ORDER BY p.model DESC, p.endpoint DESC, p.valid_from DESC LIMIT 1
) price ON true
WHERE r.run_id = %(run)s AND q.hard AND q.unit IN ('output_tokens', 'money')
ORDER BY a.quota_id, a.starts_at FOR UPDATE OF a, r
"""
_CHANGE: Final = """
WITH changed AS (UPDATE accounts_reservation SET amount = amount + %(change)s WHERE id = %(reservation)s)
UPDATE accounts_allowance SET reserved = reserved + %(change)s WHERE id = %(allowance)s
"""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """`reserved`: output tokens that the answer may write now. `possible`: with all that is left now. `message`: the
    sentence for the user when that is not enough.
    """

    reserved: int
    possible: int
    message: str


@dataclass(frozen=True, slots=True)
class _Held:
    """The reservation of one answer in one quota. `fixed` and `per_token` are the cost of its input and output, in the
    unit of the quota.
    """

    balance: Balance
    reservation_id: int
    allowance_id: int
    amount: Decimal
    fixed: Decimal
    per_token: Decimal

    def tokens(self, amount: Decimal) -> int:
        """How many output tokens `amount` is enough for."""
        if not self.per_token:
            return UNLIMITED if amount >= self.fixed else 0
        return max(int((amount - self.fixed) / self.per_token), 0)


def reserve_output(run_id: uuid.UUID, model: str, *, input_tokens: int, wanted: int) -> Ceiling | None:
    """Reserves up to `wanted` output tokens in all for an answer, as far as they are left. None: no hard quota applies.

    `input_tokens` are those of its request, which count in a quota of money.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_HELD, {"run": run_id, "model": model})
        ceilings = [_reserve(cursor, _held(row, input_tokens), wanted) for row in cursor.fetchall()]
    return min(ceilings, key=lambda one: one.possible, default=None)


def _held(row: tuple[Any, ...], input_tokens: int) -> _Held:
    balance = balance_from_row(row[:11])
    reservation_id, allowance_id, amount, input_price, output_price = row[11:]
    if balance.unit != Unit.MONEY:
        return _Held(balance, reservation_id, allowance_id, amount, Decimal(0), Decimal(1))
    fixed, per_token = (input_price or 0) * input_tokens / MILLION, (output_price or 0) / MILLION
    return _Held(balance, reservation_id, allowance_id, amount, Decimal(fixed), Decimal(per_token))


def _reserve(cursor: Any, held: _Held, wanted: int) -> Ceiling:
    balance = held.balance
    left = balance.limit - balance.used - balance.reserved  # negative where it is over-reserved
    if left < 0:
        change = -min(-left, held.amount)
    else:
        change = min(max(held.fixed + wanted * held.per_token - held.amount, Decimal(0)), left)
    if change:
        values = {"change": change, "reservation": held.reservation_id, "allowance": held.allowance_id}
        cursor.execute(_CHANGE, values)
    reserved = held.tokens(held.amount + change)
    possible = held.tokens(held.amount + max(left, change))
    return Ceiling(reserved, possible, used_up_message(balance))
