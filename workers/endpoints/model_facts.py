"""Stores what workers learn about models, and shares it between them. Sync."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from django.db import connection

from workers.models import ModelFact
from workers.providers.counting import Ratios
from workers.providers.model_facts import Facts

# All that changed since the last time, in one statement. The last worker counts where two learnt the same thing.
_STORE: Final = """
INSERT INTO workers_modelfact AS f (endpoint, model, "window", window_at, ratios, measured_at)
SELECT endpoint, model, tokens, at, ratios, CASE WHEN ratios <> '{}' THEN clock_timestamp() END
FROM unnest(%s::text[], %s::text[], %s::int[], %s::timestamptz[], %s::jsonb[])
    AS given (endpoint, model, tokens, at, ratios) ORDER BY endpoint, model
ON CONFLICT (endpoint, model) DO UPDATE SET "window" = EXCLUDED."window", window_at = EXCLUDED.window_at,
    ratios = EXCLUDED.ratios,
    measured_at = CASE WHEN f.ratios = EXCLUDED.ratios THEN f.measured_at ELSE EXCLUDED.measured_at END
"""
MOST: Final = 5000  # models of which facts are read


def load_facts() -> list[Facts]:
    """What all workers have learnt. Raises a database error."""
    rows = ModelFact.objects.order_by("-id").values_list("endpoint", "model", "window", "window_at", "ratios")[:MOST]
    return [Facts(endpoint, model, window, at, Ratios.read(ratios)) for endpoint, model, window, at, ratios in rows]


def store_facts(facts: Sequence[Facts]) -> None:
    """Stores facts in one statement. Raises a database error."""
    if not facts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE,
            [
                [one.endpoint[:200] for one in facts],
                [one.model[:200] for one in facts],
                [one.window for one in facts],
                [one.window_at for one in facts],
                [json.dumps(one.ratios.kinds) for one in facts],
            ],
        )
