"""Presets: what staff prepare for new conversations. A conversation copies what its preset says when it begins, so a
preset that is changed, switched off or deleted later takes nothing from it.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from typing import Final, TypedDict

import structlog

from accounts.lib.outage import OUTAGE
from accounts.models import User
from chat.catalog import offered_models
from chat.catalog.offered_models import OfferedModel
from chat.models import Preset
from chat.protocol.errors import Invalid

logger = structlog.get_logger(__name__)

CACHED_SECONDS: Final = 5.0


class OfferedPreset(TypedDict):
    """As `hello` and the page show it. An empty model is the default."""

    id: str
    name: str
    description: str
    model: str


@dataclass(frozen=True, slots=True)
class _Known:
    shown: OfferedPreset
    groups: frozenset[int]


def offered_presets(user_id: uuid.UUID) -> list[OfferedPreset]:
    """The presets this person may choose, as of `CACHED_SECONDS` ago. Their groups are asked for only where a preset is
    not everyone's. Raises a database error.
    """
    known = _cache.get()
    if not any(one.groups for one in known):
        return [one.shown for one in known]
    theirs = _groups_of(user_id)
    return [one.shown for one in known if not one.groups or one.groups & theirs]


def offers(user_id: uuid.UUID) -> dict[str, list[OfferedModel] | list[OfferedPreset]]:
    """What `hello` says is on offer: `models`, and `presets` where this person has any. Without PostgreSQL only the
    models: a socket opens all the same.
    """
    found: dict[str, list[OfferedModel] | list[OfferedPreset]] = {"models": offered_models.offered_models()}
    try:
        if presets := offered_presets(user_id):
            found["presets"] = presets
    except OUTAGE as error:
        logger.warning("presets_unknown", error=type(error).__name__)
    return found


def choose_preset(user_id: uuid.UUID, preset_id: uuid.UUID, model: str | None) -> Preset:
    """The preset for a conversation that begins now, with `model` in place of its own. Raises `Invalid`."""
    preset = Preset.objects.prefetch_related("groups").filter(pk=preset_id, enabled=True).first()
    if preset is not None:
        groups = {group.pk for group in preset.groups.all()}
        if groups and not groups & _groups_of(user_id):
            preset = None
    if preset is None:
        raise Invalid("This preset is not offered any more. Choose another one, or a model.")
    offered = [one["id"] for one in offered_models.offered_models()]
    if not model and preset.model and offered and preset.model not in offered:
        raise Invalid(f"The model of this preset ({preset.model}) is not offered now. Choose another one, or a model.")
    return preset


def forget_presets() -> None:
    """The next reader asks the database."""
    _cache.forget()


def _groups_of(user_id: uuid.UUID) -> set[int]:
    return set(User.groups.through.objects.filter(user_id=user_id).values_list("group_id", flat=True))


class _Cache:
    """What this process knows. Read in threads; one of them asks."""

    def __init__(self) -> None:
        self._known: list[_Known] = []
        self._due = 0.0
        self._lock = threading.Lock()

    def get(self) -> list[_Known]:
        if time.monotonic() < self._due:
            return self._known
        with self._lock:
            if time.monotonic() >= self._due:
                self._known = [
                    _Known(
                        OfferedPreset(id=str(row.pk), name=row.name, description=row.description, model=row.model),
                        frozenset(group.pk for group in row.groups.all()),
                    )
                    for row in Preset.objects.filter(enabled=True).prefetch_related("groups")
                ]
                self._due = time.monotonic() + CACHED_SECONDS
            return self._known

    def forget(self) -> None:
        self._due = 0.0


_cache = _Cache()
