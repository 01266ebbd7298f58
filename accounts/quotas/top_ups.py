"""Top-ups and resets of a quota in its current period."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from accounts.models import Quota, TopUp
from accounts.quotas.balance import SHARED_BALANCES, USER_BALANCES, add_recorded_usage, lock_ledger_for_allowances

_TOP_UP: Final = """
INSERT INTO accounts_allowance AS a (user_id, quota_id, starts_at, ends_at, used, reserved, extra)
VALUES (%s, %s, %s, %s, 0, 0, %s)
ON CONFLICT (user_id, quota_id, starts_at) DO UPDATE SET extra = a.extra + EXCLUDED.extra
RETURNING a.id, a.xmax = 0
"""


def top_up(
    user_id: uuid.UUID | None,
    quota_id: int,
    amount: Decimal,
    *,
    by: uuid.UUID | None = None,
    reason: str = "",
    is_reset: bool = False,
) -> TopUp:
    """Adds `amount` to a quota in its current period. Two simultaneous top-ups both count.

    A top-up of a shared quota is for the whole group; `user_id` may then be any member, or None. Raises
    `django.core.exceptions.ValidationError` for an invalid amount and `Quota.DoesNotExist` for a quota that does not
    apply to this user.
    """
    made = TopUp(quota_id=quota_id, amount=amount, by_id=by, reason=reason, is_reset=is_reset)
    made.clean_fields(exclude=["quota", "user", "by"])
    with transaction.atomic():
        made.allowance_id, made.user_id = _add(user_id, quota_id, amount)
        made.save(force_insert=True)
    return made


def reset(user_id: uuid.UUID | None, quota_id: int, *, by: uuid.UUID | None = None) -> TopUp | None:
    """Tops a quota up by what was used in its current period. None if nothing was used."""
    with transaction.atomic():
        allowance, _ = _add(user_id, quota_id, Decimal(0))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT used - COALESCE((SELECT sum(amount) FROM accounts_topup WHERE allowance_id = a.id"
                " AND is_reset), 0) FROM accounts_allowance a WHERE id = %s",
                [allowance],
            )
            [used] = cursor.fetchone()
        return top_up(user_id, quota_id, used, by=by, is_reset=True) if used > 0 else None


def _add(user_id: uuid.UUID | None, quota_id: int, amount: Decimal) -> tuple[int, uuid.UUID | None]:
    """Adds to the current allowance and locks it. Returns its id and its user (None for a shared quota)."""
    found = _running(user_id, quota_id)
    lock_ledger_for_allowances(user_id, Quota.objects.filter(pk=quota_id).values_list("group_id", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_TOP_UP, [found[12], quota_id, found[11], found[6], amount])
        allowance, fresh = cursor.fetchone()
    add_recorded_usage([allowance] if fresh else [])
    return int(allowance), found[12]


def _running(user_id: uuid.UUID | None, quota_id: int) -> Sequence[Any]:
    with connection.cursor() as cursor:
        if user_id is None:
            cursor.execute(SHARED_BALANCES, {"quota": quota_id, "group": None})
        else:
            cursor.execute(USER_BALANCES, {"user": user_id})
        found = next((row for row in cursor.fetchall() if row[0] == quota_id), None)
    if found is None:
        raise Quota.DoesNotExist(f"Quota {quota_id} does not apply to this user.")
    return tuple(found)
