"""Has judges read the texts that are shown already (`chat.moderation.judging`).

While a judge is away its texts wait, however long that takes, and no case opens for them: figures, metrics and an alert
say how many wait. When it answers again all of them are judged at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models.moderation import Action, Direction
from chat.moderation.cases import Finding
from chat.moderation.judging import (
    ShownText,
    apply_finding,
    judge_all_now,
    note_judged,
    read_call_texts,
    take_unjudged,
    was_released,
    withdraw_thinking,
)
from chat.moderation.rewriting import publish_rewritten
from chat.moderation.withheld_questions import does_thinking_repeat, find_withheld_question
from workers.generation.judging_costs import count_judgements, record_costs
from workers.generation.services import Services
from workers.moderation.base import GARBAGE
from workers.moderation.findings import finding_of_judgements, unread

AT_ONCE: Final = 20
MOST_CHARS: Final = 60_000  # of an answer, with what tools were given and returned for it
GIVE_UP_SECONDS: Final = 3600.0  # how long a judge is asked again that answers, but with no verdict
OUTAGE_SECONDS: Final = 600.0  # a text that has waited so long has waited for the end of an outage

logger = structlog.get_logger(__name__)


class ShownJudge:
    """Judges what is shown already. Each worker has one; a text is taken by one of them."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def judge(self) -> None:
        """One round: takes what waits, and has it judged. Without a judge for it, nothing is done about a text."""
        while taken := await in_db(take_unjudged, AT_ONCE):
            results = await asyncio.gather(*(_judge(self.services, one) for one in taken), return_exceptions=True)
            for shown, result in zip(taken, results, strict=True):
                if isinstance(result, BaseException):
                    logger.warning(
                        "message_not_judged",
                        message=str(shown.message_id),
                        error=type(result).__name__,
                        note="another try follows",
                    )
            if all(result is not True for result in results):
                return  # the judges are away: the others would wait in vain, too
            if any(shown.age > OUTAGE_SECONDS for shown, result in zip(taken, results, strict=True) if result is True):
                await in_db(judge_all_now)


async def _judge(services: Services, shown: ShownText) -> bool:
    """Judges one text and applies the verdict. False: without a verdict the row stays, and is taken again."""
    if await in_db(was_released, shown):
        await in_db(note_judged, shown)
        return True
    if shown.answered:
        if (finding := await in_db(find_withheld_question, shown.message_id, shown.text)) is not None:
            await _apply(shown, finding)
            return True
        if await in_db(does_thinking_repeat, shown.message_id) and await in_db(withdraw_thinking, shown):
            await _publish(shown)
            return True  # the text is judged in the next round
    if not shown.text:
        await in_db(note_judged, shown)
        return True
    judges = services.judges.of(Direction.ANSWERED if shown.answered else Direction.ASKED)
    if not judges:
        await in_db(note_judged, shown)
        return True
    told = await in_db(read_call_texts, shown.message_id) if shown.answered else ""
    judgements = await services.judges.judge(judges, f"{shown.text}\n\n{told}"[:MOST_CHARS] if told else shown.text)
    count_judgements(judgements)
    if spent := [one for judgement in judgements for one in judgement.spent]:
        services.spawn(record_costs(shown.conversation_id, spent))
    away = [one for one in judgements if one.away]
    finding = finding_of_judgements(judgements, answered=shown.answered).finding
    if away and not any(one.hits for one in judgements):
        if shown.age < GIVE_UP_SECONDS or any(one.away != GARBAGE for one in away):
            return False
        finding = unread(judgements)  # it answers others, but not about this text
    if finding is None:
        await in_db(note_judged, shown)
        return True
    await _apply(shown, finding)
    return True


async def _apply(shown: ShownText, finding: Finding) -> None:
    """Opens the case of a text, and takes it from its readers where the finding withholds it."""
    if await in_db(apply_finding, shown, finding) and finding.action in (Action.HOLD, Action.BLOCK):
        logger.info("shown_message_withheld", message=str(shown.message_id), action=finding.action.value)
        await _publish(shown)


async def _publish(shown: ShownText) -> None:
    try:
        await publish_rewritten([shown.message_id])
    except (*OUTAGE, OSError) as error:
        note = "the recovery of any process does it"
        logger.warning("rewriting_not_published", message=str(shown.message_id), error=type(error).__name__, note=note)
