"""The rules for what models write: those that are meant for whoever asked and for the model."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import lru_cache

import structlog

from accounts.lib.outage import OUTAGE
from chat.models.moderation import Direction
from chat.moderation.matching.matcher import Action, Matcher, action_of, masked
from chat.moderation.rules import Audience, KnownRule, RuleSet, audience_of, rules_in_force

logger = structlog.get_logger(__name__)


def rules_for_answer(
    user_id: uuid.UUID | None, model: str, direction: Direction = Direction.ANSWERED
) -> RuleSet | None:
    """The rules for an answer of `model` to this user, or for the files that come with it; None if there are none.

    Without PostgreSQL, to read whose rules they are, all rules count.
    """
    return _rules_for(direction, user_id, model)


def screen_written(text: str, user_id: uuid.UUID | None, model: str, *directions: Direction) -> str:
    """What may be kept of a text that a model wrote and nobody asked for, such as a title: without what rules of these
    directions mask; empty if one of them holds or blocks it. No case opens.
    """
    for direction in directions:
        rules = _rules_for(direction, user_id, model)
        if rules is None or not text:
            continue
        hits = rules.matcher.find(text)
        if (action_of(hits) or Action.FLAG) > Action.MASK:
            return ""
        text = masked(text, [hit for hit in hits if hit.action is Action.MASK])
    return text


def _rules_for(direction: Direction, user_id: uuid.UUID | None, model: str) -> RuleSet | None:
    rules = rules_in_force(direction)
    if not rules.known:
        return None
    try:
        audience = audience_of(rules, user_id, model) if user_id else Audience(model=model)
    except OUTAGE as error:
        logger.warning("moderation_audience_not_read", error=type(error).__name__)
        return rules
    numbers = tuple(number for number, rule in enumerate(rules.known) if rule.meant_for(audience))
    if len(numbers) == len(rules.known):
        return rules
    return _some_of(rules.matcher, rules.known, numbers) if numbers else None


@lru_cache(maxsize=64)
def _some_of(matcher: Matcher, known: tuple[KnownRule, ...], numbers: tuple[int, ...]) -> RuleSet:
    """Compiled without the others, so that nothing is searched for, or held back, because of those."""
    rules = [replace(matcher.rules[number], number=place) for place, number in enumerate(numbers)]
    return RuleSet(Matcher(rules), tuple(known[number] for number in numbers))
