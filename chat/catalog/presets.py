"""Presets that staff prepare for new conversations.

A conversation copies its preset when it starts, so changing, disabling or deleting the preset later does not affect it.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from typing import Final, TypedDict

import structlog
from cachetools import TTLCache, cached

from accounts.lib.outage import OUTAGE
from accounts.models import User
from chat.catalog import offered_models
from chat.catalog.access import NOT_THEIRS, may_use, offered_to
from chat.catalog.offered_models import OfferedModel
from chat.models import Preset
from chat.protocol.errors import Forbidden, Invalid

logger = structlog.get_logger(__name__)

CACHED_SECONDS: Final = 5.0


class OfferedPreset(TypedDict):
    """A preset as `hello` and the page show it. An empty model means the default."""

    id: str
    name: str
    description: str
    model: str


@dataclass(frozen=True, slots=True)
class _Known:
    shown: OfferedPreset
    groups: frozenset[int]


def offered_presets(user_id: uuid.UUID) -> list[OfferedPreset]:
    """The presets this user can choose, up to `CACHED_SECONDS` old. Raises a database error.

    The user's groups are queried only when a preset is limited to groups.
    """
    known = _enabled_presets()
    if not any(one.groups for one in known):
        return [one.shown for one in known]
    theirs = _groups_of(user_id)
    return [one.shown for one in known if not one.groups or one.groups & theirs]


def offers(user_id: uuid.UUID) -> dict[str, list[OfferedModel] | list[OfferedPreset]]:
    """What `hello` offers: `models`, and `presets` where this user has any.

    Without PostgreSQL only the models that everyone may use, so that a socket opens all the same.
    """
    found: dict[str, list[OfferedModel] | list[OfferedPreset]] = {"models": offered_to(user_id)}
    try:
        if presets := offered_presets(user_id):
            found["presets"] = presets
    except OUTAGE as error:
        logger.warning("presets_not_read", error=type(error).__name__)
    return found


def choose_preset(user_id: uuid.UUID, preset_id: uuid.UUID, model: str | None) -> Preset:
    """The preset for a new conversation. `model`, if given, is used instead of the preset's own.

    Raises `Invalid`, or `Forbidden` when the preset's model is limited to groups that the user is not in.
    """
    preset = Preset.objects.prefetch_related("groups").filter(pk=preset_id, enabled=True).first()
    if preset is not None:
        groups = {group.pk for group in preset.groups.all()}
        if groups and not groups & _groups_of(user_id):
            preset = None
    if preset is None:
        raise Invalid("This preset is no longer available. Choose another preset or a model.")
    offered = [one["id"] for one in offered_models.offered_models()]
    if not model and preset.model and offered and preset.model not in offered:
        raise Invalid(f"The model of this preset ({preset.model}) is not available. Choose another preset or a model.")
    if not model and preset.model and not may_use(user_id, preset.model):
        raise Forbidden(NOT_THEIRS)
    return preset


def clear_presets_cache() -> None:
    """Makes the next reader of this process query the database."""
    _enabled_presets.cache_clear()


def _groups_of(user_id: uuid.UUID) -> set[int]:
    return set(User.groups.through.objects.filter(user_id=user_id).values_list("group_id", flat=True))


@cached(TTLCache(maxsize=1, ttl=CACHED_SECONDS), condition=threading.Condition())
def _enabled_presets() -> list[_Known]:
    """The presets as this process last read them. One thread queries; the others wait for it."""
    return [
        _Known(
            OfferedPreset(id=str(row.pk), name=row.name, description=row.description, model=row.model),
            frozenset(group.pk for group in row.groups.all()),
        )
        for row in Preset.objects.filter(enabled=True).prefetch_related("groups")
    ]
