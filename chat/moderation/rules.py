"""The rules in force: read from the database at most every `RELOAD_SECONDS`, compiled when one of them changed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import structlog
from cachetools import TTLCache, cached
from django.contrib.auth.models import Group

from accounts.lib.outage import OUTAGE
from accounts.lib.refreshing import refresh
from accounts.models import User
from accounts.quotas.plans import plan_field
from chat.models.moderation import Direction, ModerationRule
from chat.moderation.matching import matcher
from chat.moderation.matching.matcher import Action, Hit, Matcher
from chat.moderation.matching.pii import Pii
from chat.telemetry import metrics

logger = structlog.get_logger(__name__)

RELOAD_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a rule must be meant for: the person whose text it is, or whose question is answered.

    `others` are the further models that are asked the same.
    """

    groups: frozenset[int] = frozenset()
    plan: int | None = None
    model: str = ""
    others: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KnownRule:
    """What is kept of a rule besides its compiled form."""

    id: str
    name: str
    version: int
    category: str
    severity: int
    notice: str
    groups: frozenset[int]
    plans: frozenset[int]
    models: frozenset[str]

    def meant_for(self, audience: Audience) -> bool:
        return (
            (not self.groups or bool(self.groups & audience.groups))
            and (not self.plans or audience.plan in self.plans)
            and (not self.models or audience.model in self.models or bool(self.models & audience.others))
        )


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one direction. Rule numbers of `matcher` are positions in `known`."""

    matcher: Matcher
    known: tuple[KnownRule, ...]

    def screen(self, text: str, audience: Audience) -> Verdict:
        """What these rules say about `text`."""
        began = time.perf_counter()
        hits = [hit for hit in self.matcher.find(text) if self.known[hit.rule].meant_for(audience)]
        if self.known:
            metrics.observe_moderation("rules", time.perf_counter() - began)
        return self.verdict(text, hits)

    def verdict(self, text: str, hits: Iterable[Hit]) -> Verdict:
        """These hits of this set's rules in `text`."""
        found = tuple(hits)
        return Verdict(text, found, {number: self.known[number] for number in sorted({hit.rule for hit in found})})

    @property
    def needs_audience(self) -> bool:
        """Whether a rule is only for some; if not, nobody's groups and plan have to be read."""
        return any(rule.groups or rule.plans for rule in self.known)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in `text`, and by which rules."""

    text: str
    hits: tuple[Hit, ...]
    by_number: dict[int, KnownRule]

    @property
    def rules(self) -> tuple[KnownRule, ...]:
        """The rules that found something."""
        return tuple(self.by_number.values())

    @property
    def found(self) -> tuple[tuple[KnownRule, Hit], ...]:
        """Each hit with its rule, in the order of the text."""
        return tuple((self.by_number[hit.rule], hit) for hit in self.hits)

    @property
    def action(self) -> Action | None:
        """The most severe action; None: nothing was found."""
        return matcher.action_of(self.hits)

    @property
    def masked(self) -> str:
        """The text without what rules that mask have found in it."""
        return matcher.masked(self.text, [hit for hit in self.hits if hit.action is Action.MASK])

    @property
    def notice(self) -> str:
        """The sentence of the most severe rule that has one, or ""."""
        ranked = sorted(self.rules, key=lambda rule: rule.severity, reverse=True)
        return next((rule.notice for rule in ranked if rule.notice), "")


_EMPTY: Final = RuleSet(Matcher([]), ())
_compiled: dict[Direction, tuple[object, RuleSet]] = {}


def rules_in_force(direction: Direction) -> RuleSet:
    """The enabled rules of `direction`, at most `RELOAD_SECONDS` old. Without PostgreSQL those that were read last."""
    try:
        rows = _enabled()
    except OUTAGE as error:
        logger.warning("moderation_rules_not_read", error=type(error).__name__)
        return _compiled[direction][1] if direction in _compiled else _EMPTY
    theirs = [row for row in rows if direction in row.directions]
    stamp = tuple((row.pk, row.version) for row in theirs)
    known = _compiled.get(direction)
    if known is None or known[0] != stamp:
        _compiled[direction] = known = (stamp, compile_rules(theirs))
    return known[1]


def compile_rules(rows: Iterable[ModerationRule]) -> RuleSet:
    """Rules that cannot be compiled, or not together with those before them, are left out and logged; the admin and
    imports refuse such rules.
    """
    listed: list[ModerationRule] = []
    rules: list[matcher.Rule] = []
    for row in rows:
        try:
            rule = compiled_rule(row, len(rules))
            if not rule.searches:
                raise ValueError(matcher.NOTHING_TO_FIND)
        except ValueError as error:
            _log_left_out(row, str(error))
            continue
        listed.append(row)
        rules.append(rule)
    compiled, left_out = matcher.compile_fitting(rules)
    for number, reason in left_out.items():
        _log_left_out(listed[number], reason)
    known = tuple(
        KnownRule(
            str(row.pk), row.name, row.version, row.category, row.severity, row.notice,
            frozenset(group.pk for group in row.groups.all()), frozenset(plan.pk for plan in row.plans.all()),
            frozenset(row.only_models),
        )
        for row in listed
    )  # fmt: skip
    return RuleSet(compiled, known)


def _log_left_out(row: ModerationRule, reason: str) -> None:
    logger.error("moderation_rule_not_compiled", rule=row.name, reason=reason)


def compiled_rule(row: ModerationRule, number: int = 0) -> matcher.Rule:
    """The row as `chat.moderation.matching` reads it. Raises `ValueError` for an unknown kind of personal data."""
    return matcher.Rule(
        number,
        Action[row.action.upper()],
        words=tuple(_lines(row.words)),
        patterns=tuple(_lines(row.patterns)),
        pii=tuple(Pii(kind) for kind in row.pii),
        locale=row.locale,
        disguised=row.disguised,
    )


def check_rule(row: ModerationRule) -> None:
    """Raises `ValueError` with a sentence for staff if the rule is in force nowhere or cannot be compiled, alone or
    together with the other rules in force.
    """
    if not row.directions:
        raise ValueError("Choose at least one direction.")
    try:
        rule = compiled_rule(row)
        matcher.check(rule)
        if row.enabled and (rule.patterns or rule.disguised):  # what has a limit for all rules
            _check_with_others(row, rule)
    except ValueError as error:
        reason = str(error)
        raise ValueError(f"{reason[:1].upper()}{reason[1:]}.") from None


def _check_with_others(row: ModerationRule, rule: matcher.Rule) -> None:
    others = ModerationRule.objects.filter(enabled=True).exclude(pk=row.pk).order_by("pk")
    for direction in row.directions:
        theirs = [
            compiled_rule(other, number) for number, other in enumerate(others, 1) if direction in other.directions
        ]
        _, left_out = matcher.compile_fitting([*theirs, replace(rule, number=0)])
        if 0 in left_out:
            raise ValueError(left_out[0])


def clear_rules_cache() -> None:
    """This process reads the rules again when they are next asked for."""
    _enabled.cache_clear()


def refresh_rules() -> None:
    """Reads the rules, and compiles what has changed, so that no answer of this process waits for that. Raises a
    database error.
    """
    refresh(_enabled)
    for direction in list(_compiled):
        rules_in_force(direction)


@cached(TTLCache(1, RELOAD_SECONDS), condition=threading.Condition())
def _enabled() -> list[ModerationRule]:
    return list(ModerationRule.objects.filter(enabled=True).prefetch_related("groups", "plans").order_by("pk"))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def audience_of(rules: RuleSet, user_id: uuid.UUID, model: str = "") -> Audience:
    """The audience that `user_id` and `model` are. Reads groups and plan only if a rule is for some of them."""
    if not rules.needs_audience:
        return Audience(model=model)
    plan = User.objects.filter(pk=user_id).values_list(plan_field("pk"), flat=True).first()
    groups = Group.objects.filter(user=user_id).values_list("pk", flat=True)
    return Audience(frozenset(groups), plan, model)
