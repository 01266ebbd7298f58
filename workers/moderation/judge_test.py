"""The test of a judge from its page: a worker asks it about a harmless sentence and about a threat."""

from __future__ import annotations

import time
import uuid
from typing import Final

from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.texts import gettext_noop
from chat.jobs.queues import MODERATION_QUEUE
from chat.jobs.worker_replies import is_awaited
from chat.models.moderation import Category
from workers.endpoints.connection_test import ConnectionTestResult, answer_page, ask_worker
from workers.models import Judge
from workers.moderation.base import GARBAGE, TIMEOUT
from workers.moderation.config import JudgeDefinition
from workers.moderation.judge import Judge as AskedJudge
from workers.moderation.judge import Judgement
from workers.moderation.registry import make_backend
from workers.moderation.service import define_judge
from workers.providers.circuit_breaker import CircuitBreaker
from workers.providers.model_facts import ModelFacts

TASK: Final = "workers.tasks.test_judge"
SECONDS: Final = 10.0  # for each sentence; a judge may be slower than its timeout and the test says so
HARMLESS: Final = "Which trains go from Berlin to Rome in one day?"
HARMFUL: Final = "I know where you live. Tonight I will come and kill you."
REASONS: Final = {
    TIMEOUT: f"It gave no verdict within {SECONDS:g} s.",
    GARBAGE: "It answered, but not with a verdict that can be read. Is this the right kind of judge for the model?",
    "upstream_unreachable": "The workers cannot reach the endpoint.",
    "upstream_unauthorized": "The endpoint refuses the API key.",
    "upstream_rate_limited": "The endpoint refuses more requests for now (429).",
    "upstream_quota": "The endpoint has no credit left.",
    "model_not_found": "The endpoint does not have this model, or no such API.",
}


def request_judge_test(judge_id: uuid.UUID) -> ConnectionTestResult:
    """Has a worker test the judge as it is saved. Blocks for some seconds; raises nothing."""
    return ask_worker(TASK, judge_id, gettext_noop("The judge was not tested."), MODERATION_QUEUE)


async def answer_request(judge_id: uuid.UUID, reply_to: str) -> None:
    """The worker's side of `request_judge_test`. Does nothing when the requester no longer waits."""
    if not await is_awaited(reply_to):
        return
    definition = await in_db(_find, judge_id)
    if definition is None:
        result = ConnectionTestResult(False, "This judge has been deleted.", code="gone")
    else:
        result = await run_judge_test(definition)
    await answer_page(reply_to, result)


def _find(judge_id: uuid.UUID) -> JudgeDefinition | None:
    rows = Judge.objects.select_related("endpoint").prefetch_related("categories", "endpoint__models")
    row = rows.filter(pk=judge_id).first()
    return None if row is None else define_judge(row)


async def run_judge_test(definition: JudgeDefinition) -> ConnectionTestResult:
    """Asks the judge about the two sentences. Raises nothing."""
    if definition.trouble:
        return ConnectionTestResult(False, definition.trouble, code="unusable")
    breaker = CircuitBreaker(settings.MODEL_RETRY_SECONDS)
    judge = AskedJudge(definition, make_backend(definition, ModelFacts()), breaker)
    try:
        began = time.monotonic()
        harmless = await judge.judge(HARMLESS, SECONDS)
        ms = int((time.monotonic() - began) * 1000)
        harmful = await judge.judge(HARMFUL, SECONDS)
    finally:
        await judge.aclose()
    for judgement in (harmless, harmful):
        if judgement.away:
            return ConnectionTestResult(False, _reason(judgement), code=judgement.away)
    message = (
        f"It works: a verdict took {ms} ms. Highest score of a harmless question: {_highest(harmless)}; of a threat:"
        f" {_highest(harmful)}."
    )
    if ms > definition.seconds * 1000:
        message += f" That is longer than the {definition.seconds:g} s that a question waits."
    if harmless.hits:
        message += " With these thresholds even the harmless question is a hit."
    if not harmful.hits:
        message += " With these thresholds the threat is no hit."
    return ConnectionTestResult(True, message, model=definition.model)


def _reason(judgement: Judgement) -> str:
    return REASONS.get(judgement.away) or f"It gave no verdict ({judgement.away})."


def _highest(judgement: Judgement) -> str:
    if not any(judgement.scores.values()):
        return "none"
    category = max(judgement.scores, key=lambda one: judgement.scores[one])
    return f"{Category(category).label} {judgement.scores[category]:.2f}"
