"""How much an answer in progress may still use: what is left of its user's hard quotas of tokens and money.

A worker gets the reservations of a run with its claim, and asks again only to change one. An answer reserves in steps
while it is written. Its reservation never grows beyond what a quota has left, and a quota that is over-reserved takes
the difference back, so parallel answers together stay within the limit. The claim needs no lock for that: of two
answers that over-reserve a quota, the one that is claimed later sees the reservations of both. The input is known
before the request, so it is only looked at then.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from accounts.models import Unit
from accounts.quotas.balance import Balance, balance_from_row
from accounts.quotas.wording import input_too_long_message, used_up_message

MILLION: Final = Decimal(1_000_000)
UNLIMITED: Final = 10**12  # output tokens of a model that costs nothing, and in a quota of input tokens


def _reserved(run: str, model: str) -> str:
    """SQL: the reservations of a run in hard quotas, with the price that `reserve` uses. Both arguments are SQL."""
    return f"""
SELECT q.id AS quota_id, q.model AS quota_model, q.unit, q.period, q."limit", q.hard, a.ends_at, a.used, a.reserved,
    a.extra, CASE WHEN a.user_id IS NULL THEN COALESCE(g.name, '') ELSE '' END AS shared_by, r.id AS reservation_id,
    a.id AS allowance_id, r.amount, price.input_per_million, price.output_per_million
FROM accounts_reservation r JOIN accounts_allowance a ON a.id = r.allowance_id
JOIN accounts_quota q ON q.id = a.quota_id LEFT JOIN auth_group g ON g.id = q.group_id
LEFT JOIN LATERAL (
    SELECT input_per_million, output_per_million FROM accounts_price p
    WHERE p.model IN ('', {model}) AND p.valid_from <= statement_timestamp()
    ORDER BY p.model DESC, p.endpoint DESC, p.valid_from DESC LIMIT 1
) price ON true
WHERE r.run_id = {run} AND q.hard AND q.unit IN ('input_tokens', 'output_tokens', 'money')
"""  # noqa: S608 -- constants


RESERVED_BY_CLAIMED: Final = _reserved("claimed.id", "claimed.model")
"""SQL: what `reserved_quotas` reads, of the run with the alias `claimed`. It locks nothing."""
QUOTA_COLUMNS: Final = 16
# In the order in which all statements lock allowances.
_LOCKED: Final = f"""{_reserved("%(run)s", "%(model)s")} AND (%(starts)s OR q.unit <> 'input_tokens')
ORDER BY a.quota_id, a.starts_at FOR UPDATE OF a, r"""
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
class ReservedQuota:
    """The reservation of one run in one hard quota, as it was read. The prices are of a million tokens."""

    balance: Balance
    reservation_id: int
    allowance_id: int
    amount: Decimal
    input_price: Decimal
    output_price: Decimal

    def _cost_of_input(self, tokens: int) -> Decimal:
        """In the unit of the quota, like all amounts."""
        if self.balance.unit == Unit.INPUT_TOKENS:
            return Decimal(tokens)
        return self.input_price * tokens / MILLION if self.balance.unit == Unit.MONEY else Decimal(0)

    @property
    def _cost_of_output_token(self) -> Decimal:
        if self.balance.unit == Unit.OUTPUT_TOKENS:
            return Decimal(1)
        return self.output_price / MILLION if self.balance.unit == Unit.MONEY else Decimal(0)

    @property
    def _left(self) -> Decimal:
        """What nobody has reserved; negative where the quota is over-reserved."""
        return self.balance.limit - self.balance.used - self.balance.reserved

    def change(self, input_tokens: int, wanted: int) -> Decimal:
        """By how much the reservation must grow for `wanted` output tokens, as far as that is left. Negative: what it
        must give back.
        """
        if self._left < 0:
            return -min(-self._left, self.amount)
        needed = self._cost_of_input(input_tokens) + wanted * self._cost_of_output_token
        return min(max(needed - self.amount, Decimal(0)), self._left)

    def ceiling(self, input_tokens: int, change: Decimal) -> Ceiling:
        """The ceiling after the reservation has changed by `change`."""
        all_of_it = self.amount + max(self._left, change)
        message = used_up_message(self.balance)
        if self.balance.unit == Unit.INPUT_TOKENS and 0 < all_of_it < input_tokens:
            message = input_too_long_message(self.balance, input_tokens, all_of_it)
        return Ceiling(
            self._output_tokens(self.amount + change, input_tokens),
            self._output_tokens(all_of_it, input_tokens),
            message,
        )

    def _output_tokens(self, amount: Decimal, input_tokens: int) -> int:
        """How many output tokens `amount` is enough for, after the input."""
        rest = amount - self._cost_of_input(input_tokens)
        if not self._cost_of_output_token:
            return UNLIMITED if rest >= 0 else 0
        return max(int(rest / self._cost_of_output_token), 0)


def reserved_quotas(rows: Iterable[Sequence[Any]]) -> list[ReservedQuota]:
    """The reservations in rows of `RESERVED_BY_CLAIMED`; rows of nulls are left out."""
    found = []
    for row in rows:
        if row[0] is not None:
            reservation_id, allowance_id, amount, *prices = row[11:]
            of_input, of_output = (price or Decimal(0) for price in prices)
            balance = balance_from_row(row[:11])
            found.append(ReservedQuota(balance, reservation_id, allowance_id, amount, of_input, of_output))
    return found


def known_ceiling(quotas: Sequence[ReservedQuota], input_tokens: int) -> tuple[Ceiling | None, bool]:
    """The ceiling by the reservations of the claim, and whether one of them must change (`reserve_output`) before the
    answer starts. None: no hard quota applies.
    """
    ceilings = [one.ceiling(input_tokens, Decimal(0)) for one in quotas]
    return _narrowest(ceilings), any(one.change(input_tokens, 0) for one in quotas)


def reserve_output(
    run_id: uuid.UUID, model: str, *, input_tokens: int, wanted: int, starts: bool = False
) -> Ceiling | None:
    """Reserves up to `wanted` output tokens in all for an answer, as far as they are left. None: no hard quota applies.

    `input_tokens` are those of its request, which count in quotas of money, and in quotas of input tokens if the answer
    `starts`.
    """
    ceilings = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCKED, {"run": run_id, "model": model, "starts": starts})
        for one in reserved_quotas(cursor.fetchall()):
            change = one.change(input_tokens, wanted)
            if change:
                held = {"reservation": one.reservation_id, "allowance": one.allowance_id}
                cursor.execute(_CHANGE, {"change": change, **held})
            ceilings.append(one.ceiling(input_tokens, change))
    return _narrowest(ceilings)


def _narrowest(ceilings: Sequence[Ceiling]) -> Ceiling | None:
    """What all of them permit, with the message of the one with the least left."""
    if not ceilings:
        return None
    least = min(ceilings, key=lambda one: one.possible)
    return Ceiling(min(one.reserved for one in ceilings), least.possible, least.message)
