"""The presets that a user may choose for a new conversation: staff's, their own, and those shared with their groups.

A conversation copies its preset when it starts, so changing, disabling or deleting the preset later does not affect it.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

import structlog
from cachetools import TTLCache, cached
from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.lib.outage import OUTAGE
from accounts.lib.postgresql.prepared import PreparedStatement
from chat.catalog import offered_models
from chat.catalog.access import NOT_THEIRS, may_use, offered_to
from chat.catalog.offered_models import OfferedModel
from chat.catalog.sharing import groups_of, own_or_shared, staffs
from chat.models import Preset
from chat.protocol.errors import Forbidden, Invalid

# Which of these users have presets of their own or shared with them. Most have none, and Django's query costs each
# socket that opens a millisecond of the database and one of ours.
HAVE_ANY: Final = PreparedStatement(
    """
SELECT reader.id FROM unnest(%(readers)s::uuid[]) AS reader(id)
WHERE EXISTS (SELECT FROM chat_preset WHERE owner_id = reader.id AND enabled AND NOT disabled_by_staff) OR EXISTS (
    SELECT FROM accounts_user_groups u JOIN chat_preset_groups l ON l.group_id = u.group_id
    JOIN chat_preset p ON p.id = l.preset_id AND p.owner_id IS NOT NULL AND p.enabled AND NOT p.disabled_by_staff
    WHERE u.user_id = reader.id)
""",
    {"readers": "uuid[]"},
)

logger = structlog.get_logger(__name__)

CACHED_SECONDS: Final = 5.0
MAX_SHARED: Final = 200  # presets of others that one user is offered


class OfferedPreset(TypedDict):
    """A preset as `hello` and the page show it. An empty model means the default.

    `own` is the user's own, `owner` the name of the one who shares it; `starters`: it has some; `tools`: it says which.
    """

    id: str
    name: str
    description: str
    model: str
    own: NotRequired[bool]
    owner: NotRequired[str]
    starters: NotRequired[bool]
    tools: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class _Known:
    shown: OfferedPreset
    groups: frozenset[int]


def offered_presets(user_id: uuid.UUID, *, has_any: bool | None = None) -> list[OfferedPreset]:
    """The presets this user can choose: their own, staff's (up to `CACHED_SECONDS` old), and what others share.
    `has_any`: whether `HAVE_ANY` has found this user, if it was asked.

    The user's groups are queried only when a preset of staff is limited to groups. Raises a database error.
    """
    staffs_own = _enabled_presets()
    theirs = groups_of(user_id) if any(one.groups for one in staffs_own) else set()
    found = [one.shown for one in staffs_own if not one.groups or one.groups & theirs]
    if not (_has_any(user_id) if has_any is None else has_any):
        return found
    rows = Preset.objects.filter(own_or_shared(Preset, user_id), enabled=True, disabled_by_staff=False)
    rows = rows.exclude(owner=None).select_related("owner").only(*_SHOWN).order_by("name")
    own = [_shown(row, own=True) for row in rows if row.owner_id == user_id]
    shared = [_shown(row) for row in rows if row.owner_id != user_id]
    return [*own, *found, *shared[:MAX_SHARED]]


def _has_any(user_id: uuid.UUID) -> bool:
    """Whether there may be presets of this user's own, or shared with them."""
    with connection.cursor() as cursor:
        HAVE_ANY.execute(cursor, {"readers": [user_id]})
        return cursor.fetchone() is not None


def usable_presets(user_id: uuid.UUID) -> QuerySet[Preset]:
    """The enabled presets that this user may choose."""
    whose = staffs(Preset, user_id) | own_or_shared(Preset, user_id)
    return Preset.objects.filter(whose, enabled=True, disabled_by_staff=False)


def offers(user_id: uuid.UUID, *, has_any: bool | None = None) -> dict[str, list[OfferedModel] | list[OfferedPreset]]:
    """What `hello` offers: `models`, and `presets` where this user has any (`has_any`: as of `offered_presets`).

    Without PostgreSQL only the models that everyone may use, so that a socket opens all the same.
    """
    found: dict[str, list[OfferedModel] | list[OfferedPreset]] = {"models": offered_to(user_id)}
    try:
        if presets := offered_presets(user_id, has_any=has_any):
            found["presets"] = presets
    except OUTAGE as error:
        logger.warning("presets_not_read", error=type(error).__name__)
    return found


def choose_preset(user_id: uuid.UUID, preset_id: uuid.UUID, model: str | None) -> Preset:
    """The preset for a new conversation. `model`, if given, is used instead of the preset's own.

    Raises `Invalid`, or `Forbidden` when the preset's model is limited to groups that the user is not in.
    """
    preset = usable_presets(user_id).filter(pk=preset_id).first()
    if preset is None:
        raise Invalid(_("This preset is no longer available. Choose another preset or a model."))
    offered = [one["id"] for one in offered_models.offered_models()]
    if not model and preset.model and offered and preset.model not in offered:
        raise Invalid(
            _("The model of this preset (%(model)s) is not available. Choose another preset or a model.")
            % {"model": preset.model}
        )
    if not model and preset.model and not may_use(user_id, preset.model):
        raise Forbidden(NOT_THEIRS)
    return preset


def clear_presets_cache() -> None:
    """Makes the next reader of this process query the database."""
    _enabled_presets.cache_clear()


_SHOWN: Final = ("name", "description", "model", "starters", "tools", "owner__name", "owner__email")


def _shown(row: Preset, *, own: bool = False) -> OfferedPreset:
    shown = OfferedPreset(id=str(row.pk), name=row.name, description=row.description, model=row.model)
    if row.starters:
        shown["starters"] = True
    if row.tools is not None:
        shown["tools"] = True
    if own:
        shown["own"] = True
    elif row.owner is not None:
        shown["owner"] = row.owner.display_name
    return shown


@cached(TTLCache(maxsize=1, ttl=CACHED_SECONDS), condition=threading.Condition())
def _enabled_presets() -> list[_Known]:
    """Staff's presets as this process last read them. One thread queries; the others wait for it."""
    rows = Preset.objects.filter(owner=None, enabled=True, disabled_by_staff=False).prefetch_related("groups")
    return [_Known(_shown(row), frozenset(group.pk for group in row.groups.all())) for row in rows]
