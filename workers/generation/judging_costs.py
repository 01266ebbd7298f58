"""Counts what judging costs and records it in the ledger at the site's expense. Also judges the texts that models write
beside answers.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.quotas.settlement import Used, settle_background
from chat.models.moderation import Direction
from chat.telemetry import metrics
from workers.generation.ledger import used_of
from workers.moderation.findings import finding_of_judgements
from workers.moderation.judge import Judgement, Spent
from workers.moderation.panel import Panel

PURPOSE: Final = "moderation"

logger = structlog.get_logger(__name__)


def count_judgements(judgements: Sequence[Judgement]) -> None:
    """Counts what judges have found in a text."""
    for judgement in judgements:
        for hit in judgement.hits:
            metrics.count_verdict("judge", judgement.judge.name, hit.category.value, hit.action.value)


async def record_costs(conversation_id: uuid.UUID, spent: Iterable[Spent]) -> None:
    """One entry in the ledger for each model that judged texts of a conversation. Raises nothing."""
    sums: dict[tuple[str, str], Used] = {}
    for one in spent:
        used = used_of(one.model, one.endpoint, one.usage)
        before = sums.get((one.model, one.endpoint))
        sums[one.model, one.endpoint] = used if before is None else _sum(before, used)
    try:
        for used in sums.values():
            await in_db(settle_background, None, timezone.now(), used, purpose=PURPOSE, conversation_id=conversation_id)
    except Exception:
        logger.exception("judging_not_recorded", conversation=str(conversation_id))


async def judge_written(panel: Panel, text: str, conversation_id: uuid.UUID) -> bool:
    """Whether a text that a model wrote and nobody asked for, such as a title or a summary, may be kept: not if a judge
    of answers finds anything in it, or has to be asked and gives no verdict. No case opens.
    """
    judges = panel.of(Direction.ANSWERED)
    if not judges or not text:
        return True
    judgements = await panel.judge(judges, text, behind=True)
    count_judgements(judgements)
    await record_costs(conversation_id, [one for judgement in judgements for one in judgement.spent])
    result = finding_of_judgements(judgements, answered=True)
    return result.finding is None and not result.refused


def _sum(one: Used, other: Used) -> Used:
    costs = (one.reported_cost, other.reported_cost)
    return replace(
        one,
        input_tokens=one.input_tokens + other.input_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        estimated=one.estimated or other.estimated,
        reported_cost=None if None in costs else costs[0] + costs[1],  # type: ignore[operator]  # neither is None
    )
