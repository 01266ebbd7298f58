"""What a model costs now, whichever endpoint answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from django.db import connection

_PRICE: Final = """
SELECT input_per_million, output_per_million FROM accounts_price
WHERE model IN ('', %s) AND valid_from <= statement_timestamp()
ORDER BY model DESC, endpoint DESC, valid_from DESC LIMIT 1
"""


def price_of(model: str) -> tuple[Decimal, Decimal] | None:
    """The prices of a million input and output tokens, as reservations count them. None: there is no price."""
    with connection.cursor() as cursor:
        cursor.execute(_PRICE, [model])
        row = cursor.fetchone()
    return None if row is None else (row[0], row[1])
