"""Whether a user's quotas allow work that nobody waits for and that reserves nothing."""

from __future__ import annotations

import uuid
from typing import Final

from django.db import connection

from accounts.models import Unit
from accounts.quotas.balance import user_balances
from accounts.quotas.reservations import METERED

_UNITS: Final = (Unit.INPUT_TOKENS, Unit.MONEY)  # that such work uses


def may_spend(user_id: uuid.UUID, model: str) -> bool:
    """False if a hard quota of tokens or money for this model is used up or reserved. Blocks."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {METERED} FROM accounts_user u WHERE id = %s", [user_id])  # noqa: S608 -- a constant
        row = cursor.fetchone()
    if not row or not row[0]:
        return True
    return all(
        one.remaining > 0
        for one in user_balances(user_id)
        if one.hard and one.unit in _UNITS and one.model in ("", model)
    )
