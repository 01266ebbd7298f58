"""Has judges read the texts that are shown already: messages that ask nobody, and edits in place."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models.moderation import Action, Direction
from chat.moderation.judging import ShownText, apply_finding, note_judged, take_unjudged
from chat.moderation.rewriting import publish_rewritten
from workers.generation.judging_costs import count_judgements, record_costs
from workers.generation.services import Services
from workers.moderation.findings import finding_of_judgements

AT_ONCE: Final = 20
GIVE_UP_SECONDS: Final = 3600.0  # how long a judge that is away is waited for

logger = structlog.get_logger(__name__)


class ShownJudge:
    """Judges what is shown already. Each worker has one; a text is taken by one of them."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def judge(self) -> None:
        """One round: takes what waits, and has it judged. Without a judge for it, nothing is done about a text."""
        while taken := await in_db(take_unjudged, AT_ONCE):
            results = await asyncio.gather(*(_judge(self.services, one) for one in taken), return_exceptions=True)
            for shown, error in zip(taken, results, strict=True):
                if isinstance(error, BaseException):
                    logger.warning(
                        "message_not_judged",
                        message=str(shown.message_id),
                        error=type(error).__name__,
                        note="another try follows",
                    )


async def _judge(services: Services, shown: ShownText) -> None:
    """Judges one text and applies the verdict. Without a verdict the row stays: it is taken again a minute later."""
    judges = services.judges.of(Direction.ANSWERED if shown.answered else Direction.ASKED)
    if not judges or not shown.text:
        return await in_db(note_judged, shown)
    judgements = await services.judges.judge(judges, shown.text)
    count_judgements(judgements)
    if spent := [one for judgement in judgements for one in judgement.spent]:
        services.spawn(record_costs(shown.conversation_id, spent))
    if any(one.away for one in judgements) and not any(one.hits for one in judgements) and shown.age < GIVE_UP_SECONDS:
        return None
    finding = finding_of_judgements(judgements, answered=shown.answered).finding
    if finding is None:
        if any(one.away for one in judgements):
            logger.warning("message_not_judged", message=str(shown.message_id), note="no judge answered for an hour")
        return await in_db(note_judged, shown)
    if await in_db(apply_finding, shown, finding) and finding.action in (Action.HOLD, Action.BLOCK):
        logger.info("shown_message_withheld", message=str(shown.message_id), action=finding.action.value)
        try:
            await publish_rewritten([shown.message_id])
        except (*OUTAGE, OSError) as error:
            note = "the recovery of any process does it"
            logger.warning(
                "rewriting_not_published", message=str(shown.message_id), error=type(error).__name__, note=note
            )
    return None
