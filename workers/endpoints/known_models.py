"""Keeps the admin's list of models (`KnownModel`) in step with what endpoints list, and applies what staff decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from django.db import connection

from chat.models import KnownModel, Visibility
from workers.providers.config import Definition
from workers.providers.router import ModelRouter, RouterMember
from workers.providers.selection import hidden_reason

NOT_NAMED: Final = "its endpoint offers only the models that were named for it"
STANDBY: Final = "its endpoint is only a fallback"

# Rows that are up to date are not written: usually none is.
_RECORD: Final = """
INSERT INTO chat_knownmodel AS k (name, label, visibility, limited, endpoint, reason, seen_at)
SELECT name, '', '', false, endpoint, reason, clock_timestamp()
FROM unnest(%s::text[], %s::text[], %s::text[]) AS listed (name, endpoint, reason)
ORDER BY name
ON CONFLICT (name) DO UPDATE SET endpoint = EXCLUDED.endpoint, reason = EXCLUDED.reason, seen_at = EXCLUDED.seen_at
WHERE (k.endpoint, k.reason) <> (EXCLUDED.endpoint, EXCLUDED.reason)
    OR k.seen_at IS NULL OR k.seen_at < EXCLUDED.seen_at - interval '1 hour'
"""


class Decisions(NamedTuple):
    """Names of models that staff decided to offer, or to hide, wherever they are listed, and of those of which staff
    said whether they call tools.
    """

    shown: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    tools: tuple[tuple[str, bool], ...] = ()


def read_decisions() -> Decisions:
    """What staff decided in the list of models. One query. Raises a database error."""
    found: dict[str, set[str]] = {"": set(), Visibility.SHOWN: set(), Visibility.HIDDEN: set()}
    tools: list[tuple[str, bool]] = []
    decided = KnownModel.objects.exclude(visibility="", tools=None).order_by("name")
    for name, visibility, calls in decided.values_list("name", "visibility", "tools"):
        found[visibility].add(name)
        if calls is not None:
            tools.append((name, calls))
    return Decisions(frozenset(found[Visibility.SHOWN]), frozenset(found[Visibility.HIDDEN]), tuple(tools))


def apply_decisions(definitions: Sequence[Definition], decisions: Decisions) -> list[Definition]:
    """The definitions with what staff decided in the list of models, which counts more than what an endpoint has."""
    return [
        replace(
            one,
            shown=(one.shown - decisions.hidden) | decisions.shown,
            hidden=(one.hidden - decisions.shown) | decisions.hidden,
            tools=decisions.tools,
        )
        for one in definitions
    ]


class Listed(NamedTuple):
    """A model that is listed, or named by staff. `reason` is why it is not offered; empty: it is."""

    name: str
    endpoint: str
    reason: str


def listed_models(router: ModelRouter) -> list[Listed]:
    """Every model of the endpoints, each once: of the endpoint that offers it, else of the first that lists it."""
    found: dict[str, Listed] = {}
    for member in router.members.values():
        if member.definition.kind == "demo":
            continue
        for one in _models_of(member):
            if one.name not in found or (found[one.name].reason and not one.reason):
                found[one.name] = one
    return list(found.values())


def record_listed(models: Sequence[Listed]) -> None:
    """Inserts models that are new and updates where the others are listed. Raises a database error."""
    if not models:
        return
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [list(column) for column in zip(*models, strict=True)])


def _models_of(member: RouterMember) -> list[Listed]:
    definition = member.definition
    names = dict(definition.models)
    found = []
    for model in member.listed or ():
        reason = hidden_reason(model, definition.shown, definition.hidden)
        if names:
            reason = "" if model.id in names else NOT_NAMED
        found.append(Listed(model.id, definition.public_name, reason if definition.offered else STANDBY))
    listed = {model.name for model in found}
    unlisted = [name for name in names if name not in listed]
    return found + [Listed(name, definition.public_name, "" if definition.offered else STANDBY) for name in unlisted]
