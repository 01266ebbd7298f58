"""What the admin shows of the models' context windows and of how their tokens are counted."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec
import redis
from django.contrib.humanize.templatetags.humanize import intcomma

from workers.models import Endpoint, ModelFact
from workers.providers.base import ListedModel
from workers.providers.counting import Ratios
from workers.providers.discovery import read_listed
from workers.providers.selection import hidden_reason
from workers.providers.windows import SOURCES, resolve_window

MOST_ROWS: Final = 200


def model_windows(object_id: str) -> list[dict[str, str]] | None:
    """The offered models of an endpoint with window, its source and the counting factors, as text.

    `own` is the window that staff set for a listed model. None if there is no such endpoint.
    """
    try:
        row = Endpoint.objects.filter(pk=uuid.UUID(object_id)).prefetch_related("models").first()
    except ValueError:
        return None
    if row is None:
        return None
    facts = {fact.model: fact for fact in ModelFact.objects.filter(endpoint=row.host)}
    named = {model.name: model.window for model in row.models.all()}
    listed = {model.id: model for model in _listed(row)}
    found = []
    for name in list(named or [model.id for model in _offered(row, listed)])[:MOST_ROWS]:
        fact = facts.get(name)
        own = named.get(name) or row.model_windows.get(name)
        known = listed.get(name)
        window = resolve_window(
            own, known.window if known else None, fact.window if fact else None, fact.window_at if fact else None
        )
        source = SOURCES[window.source] + (f" on {window.at:%Y-%m-%d}" if window.at else "")
        found.append(
            {
                "name": name,
                "window": intcomma(window.tokens) if window.tokens else "",
                "source": source,
                "own": "" if name in named or not own else str(own),
                "listed": "" if name in named else "1",
                "factors": _describe(fact),
            }
        )
    return found


def _listed(row: Endpoint) -> list[ListedModel]:
    try:
        return read_listed(str(row.pk)) or []
    except (redis.RedisError, msgspec.MsgspecError):
        return []


def _offered(row: Endpoint, listed: dict[str, ListedModel]) -> list[ListedModel]:
    shown, hidden = frozenset(row.shown_models), frozenset(row.hidden_models)
    return [model for model in listed.values() if not hidden_reason(model, shown, hidden)]


def _describe(fact: ModelFact | None) -> str:
    """The factors by kind of text, with the day when they were last measured."""
    factors = Ratios.read(fact.ratios).factors() if fact else {}
    if fact is None or not factors:
        return "not measured yet: the estimate counts"
    words = ", ".join(f"{kind} {factor:.2f}" for kind, factor in sorted(factors.items()))
    return f"{words} ({fact.measured_at:%Y-%m-%d})" if fact.measured_at else words


def learnt_elsewhere() -> list[dict[str, str]]:
    """What was learnt of models at servers that are no rows, such as those of the environment, as text."""
    hosts = {row.host for row in Endpoint.objects.all()}
    rows = ModelFact.objects.exclude(endpoint__in=hosts).order_by("endpoint", "model")[:MOST_ROWS]
    found = []
    for fact in rows:
        window = resolve_window(None, None, fact.window, fact.window_at)
        words = f"{intcomma(window.tokens)}, {SOURCES[window.source]} on {window.at:%Y-%m-%d}" if window.at else ""
        found.append({"model": str(fact), "window": words, "factors": _describe(fact)})
    return found
