"""Stores what workers learn about models, and shares it between them. Sync."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import connection

from workers.models import ModelFact
from workers.providers.counting import Ratios
from workers.providers.model_facts import Facts, is_remembered

# All that changed since the last time, in one statement. The last worker counts where two learnt the same thing. Of
# what is refused only the new part is written, so that nothing that staff have undone comes back.
_STORE: Final = """
INSERT INTO workers_modelfact AS f (endpoint, model, "window", window_at, ratios, measured_at, refused)
SELECT endpoint, model, tokens, at, ratios, CASE WHEN ratios <> '{}' THEN clock_timestamp() END, refused
FROM unnest(%s::text[], %s::text[], %s::int[], %s::timestamptz[], %s::jsonb[], %s::jsonb[])
    AS given (endpoint, model, tokens, at, ratios, refused) ORDER BY endpoint, model
ON CONFLICT (endpoint, model) DO UPDATE SET "window" = EXCLUDED."window", window_at = EXCLUDED.window_at,
    ratios = EXCLUDED.ratios, refused = f.refused || EXCLUDED.refused,
    measured_at = CASE WHEN f.ratios = EXCLUDED.ratios THEN f.measured_at ELSE EXCLUDED.measured_at END
"""
MOST: Final = 5000  # models of which facts are read


def load_facts() -> list[Facts]:
    """What all workers have learnt. Raises a database error."""
    return [
        Facts(row.endpoint, row.model, row.window, row.window_at, Ratios.read(row.ratios), read_refused(row))
        for row in ModelFact.objects.order_by("-id")[:MOST]
    ]


def read_refused(row: ModelFact) -> dict[str, datetime]:
    """What the model does not accept, and when that was learnt; without what is not remembered any more."""
    found: dict[str, datetime] = {}
    for what, at in (row.refused if isinstance(row.refused, dict) else {}).items():
        with contextlib.suppress(TypeError, ValueError):
            when = datetime.fromisoformat(at)
            if when.tzinfo is not None and is_remembered(when):
                found[what] = when
    return found


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
                [json.dumps({what: at.isoformat() for what, at in one.fresh.items()}) for one in facts],
            ],
        )
