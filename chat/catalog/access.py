"""Which models a user may choose, and which one is their default. What staff decided is in `KnownModel`."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from cachetools import TTLCache, cached
from django.db.models import Q

from accounts.lib.outage import OUTAGE
from accounts.lib.refreshing import refresh
from accounts.lib.texts import gettext_noop
from accounts.models import User
from accounts.quotas.plans import plan_field
from chat.catalog import offered_models
from chat.catalog.offered_models import OfferedModel, PublishedModel
from chat.models import KnownModel, Visibility
from chat.protocol.errors import Forbidden

logger = structlog.get_logger(__name__)

CACHED_SECONDS: Final = 5.0
NOT_THEIRS: Final = gettext_noop(
    "This model is only for certain groups, and you are in none of them. Choose another model."
)
PROPERTIES: Final = ("sees", "thinks", "tools")


@dataclass(frozen=True, slots=True)
class Rule:
    """What staff decided about a model. `groups` are the ids of those that may use it; None: everyone may."""

    label: str = ""
    hidden: bool = False
    groups: frozenset[int] | None = None
    properties: Mapping[str, bool] = field(default_factory=dict)
    default_groups: frozenset[int] = frozenset()
    default_plans: frozenset[int] = frozenset()


_NO_RULE: Final = Rule()


def models_of(user_id: uuid.UUID) -> list[PublishedModel]:
    """The offered models that this user may choose, their default first, with staff's labels and properties.

    Raises a database error.
    """
    rules = read_rules()
    offered = offered_models.published_models()
    if not rules:
        return offered
    groups = _groups_of(user_id) if any(rule.groups is not None for rule in rules.values()) else frozenset()
    found = [_decided(model, rules.get(model["id"], _NO_RULE)) for model in offered if _is_theirs(model, rules, groups)]
    default = _default_of(user_id, [model["id"] for model in found], rules)
    return sorted(found, key=lambda model: model["id"] != default)  # stable


def offered_to(user_id: uuid.UUID) -> list[OfferedModel]:
    """What `hello` offers: `models_of`; without PostgreSQL the models that everyone may use, as last known."""
    try:
        found = models_of(user_id)
    except OUTAGE as error:
        logger.warning("model_rules_not_read", error=type(error).__name__)
        found = [model for model in offered_models.published_models() if _is_theirs(model, _last_rules, frozenset())]
    return [offered_models.lean(model) for model in found]


def choose_model(user_id: uuid.UUID, chosen: str | None, usual: str = "") -> str:
    """The model of a turn: `chosen`; else `usual` (the conversation's), if this user may use it; else their default.

    Raises `Forbidden` when `chosen` is limited to groups that the user is not in, `Invalid` when it is not offered,
    and `Unavailable` when no model is.
    """
    rules = read_rules()
    names = [model["id"] for model in offered_models.published_models()]
    names = [name for name in names if not _rule(rules, name).hidden]
    if chosen:
        name = offered_models.check_model(chosen, names)
        if not may_use(user_id, name):
            raise Forbidden(NOT_THEIRS)
        return name
    if usual in names and may_use(user_id, usual):
        return usual
    if any(_rule(rules, name).groups is not None for name in names):
        groups = _groups_of(user_id)
        names = [name for name in names if _may(groups, _rule(rules, name))]
    return offered_models.check_model(_default_of(user_id, names, rules), names)


def may_use(user_id: uuid.UUID | None, model: str) -> bool:
    """Whether a user is in a group that may use a model, whether or not it is offered. Raises a database error."""
    rule = _rule(read_rules(), model)
    return rule.groups is None or (user_id is not None and _may(_groups_of(user_id), rule))


def said_of(model: str, name: str) -> bool | None:
    """What staff say of a model: whether it has a property (one of `PROPERTIES`). None: nothing. Raises a database
    error.
    """
    return _rule(read_rules(), model).properties.get(name)


def read_rules() -> Mapping[str, Rule]:
    """The models about which staff decided something, by name; up to `CACHED_SECONDS` old. Raises a database error."""
    return _read_rules()


def clear_rules_cache() -> None:
    """Makes the next reader of this process query the database."""
    _read_rules.cache_clear()


def refresh_rules() -> None:
    """Reads the rules, so that no answer of this process waits for them. Raises a database error."""
    refresh(_read_rules)


def _rule(rules: Mapping[str, Rule], name: str) -> Rule:
    return rules.get(name, _NO_RULE)


def _is_theirs(model: OfferedModel, rules: Mapping[str, Rule], groups: Iterable[int]) -> bool:
    rule = _rule(rules, model["id"])
    return not rule.hidden and _may(groups, rule)


def _may(groups: Iterable[int], rule: Rule) -> bool:
    """Whether members of these groups may use a model."""
    return rule.groups is None or not rule.groups.isdisjoint(groups)


def _decided(model: PublishedModel, rule: Rule) -> PublishedModel:
    """A model with what staff decided about it in place of what its endpoint says."""
    found = PublishedModel(**{**model, **rule.properties})  # type: ignore[typeddict-item]
    found["label"] = rule.label or model["label"]
    return found


def _default_of(user_id: uuid.UUID, names: list[str], rules: Mapping[str, Rule]) -> str | None:
    """The first model that is the default of one of the user's groups, else of their plan, else the first of all."""
    candidates = [(name, _rule(rules, name)) for name in names]
    if any(rule.default_groups for _, rule in candidates):
        groups = _groups_of(user_id)
        if found := next((name for name, rule in candidates if not rule.default_groups.isdisjoint(groups)), None):
            return found
    if any(rule.default_plans for _, rule in candidates):
        plan = User.objects.filter(pk=user_id).values_list(plan_field("pk"), flat=True).first()
        if found := next((name for name, rule in candidates if plan in rule.default_plans), None):
            return found
    return names[0] if names else None


def _groups_of(user_id: uuid.UUID) -> frozenset[int]:
    return frozenset(User.groups.through.objects.filter(user_id=user_id).values_list("group_id", flat=True))


_last_rules: Mapping[str, Rule] = {}  # of the last successful query, for `offered_to`


@cached(TTLCache(maxsize=1, ttl=CACHED_SECONDS), condition=threading.Condition())
def _read_rules() -> dict[str, Rule]:
    """The rules as this process last read them. One thread queries; the others wait for it."""
    decided = ~Q(label="") | Q(visibility=Visibility.HIDDEN) | Q(limited=True)
    decided |= Q(default_groups__isnull=False) | Q(default_plans__isnull=False)
    for name in PROPERTIES:
        decided |= Q((f"{name}__isnull", False))
    rows = KnownModel.objects.filter(decided).distinct()
    found = {
        row.name: Rule(
            label=row.label,
            hidden=row.visibility == Visibility.HIDDEN,
            groups=frozenset(group.pk for group in row.groups.all()) if row.limited else None,
            properties={name: value for name in PROPERTIES if (value := getattr(row, name)) is not None},
            default_groups=frozenset(group.pk for group in row.default_groups.all()),
            default_plans=frozenset(plan.pk for plan in row.default_plans.all()),
        )
        for row in rows.prefetch_related("groups", "default_groups", "default_plans")
    }
    global _last_rules
    _last_rules = found
    return found
