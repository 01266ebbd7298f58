"""Judges the question of a run before its model answers, or beside it. A question is judged once: not again for a
continued answer, nor for the next attempt at one with steps, nor after a reviewer has released it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import redis
import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog.payloads import MODERATED
from chat.models import RunStatus
from chat.models.moderation import Action, Direction
from chat.moderation.cases import Finding
from chat.moderation.judging import note_unjudged
from chat.runs.claims import Claim
from chat.runs.closing import close_attempt
from workers.generation.judging_costs import count_judgements, record_costs
from workers.generation.outcome import Outcome, Withheld
from workers.generation.records import record
from workers.generation.services import Services
from workers.generation.unread import UnreadTexts
from workers.generation.withheld import Known, hold_question, open_message_case, publish_withheld, read_known
from workers.generation.written_answer import WrittenAnswer
from workers.moderation.findings import UNCHECKED_QUESTION, JudgeFinding, finding_of_judgements, is_about
from workers.moderation.judge import Judge

UNCHECKED: Final = "moderation_unavailable"
DATABASE_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.5
WITHHELD: Final = (Action.HOLD.value, Action.BLOCK.value, "withdrawn")

logger = structlog.get_logger(__name__)


async def judge_asked(services: Services, claim: Claim, answer: WrittenAnswer, unread: UnreadTexts) -> Outcome:
    """The model's answer, unless a judge refuses the question or has the run wait for a reviewer. `unread` says whether
    the question is still to be judged, whenever this ends.
    """
    judges = services.judges.of(Direction.ASKED)
    if not judges or claim.shown_text or claim.begun:
        return await answer.read()
    known = await _known(claim)
    if known.moderation.get("action") in WITHHELD:
        unread.question = False
        return Outcome(RunStatus.STOPPED, MODERATED, known.moderation.get("reason", ""))
    if known.released or not known.text:
        unread.question = False
        return await answer.read()
    judges = tuple(one for one in judges if not is_about(known.details, one.definition.id, one.definition.version))
    question = _Question(services, claim, known.text, unread)
    before = [one for one in judges if one.definition.mode == "before"]
    if before and (refusal := await question.refusal(question.start(before))) is not None:
        return refusal
    beside = [one for one in judges if one.definition.mode == "parallel"]
    if beside:
        return await _read_beside(question, beside, answer)
    question.let_through()
    return await answer.read()


async def _known(claim: Claim) -> Known:
    """What is known of the question. Waits for PostgreSQL, without which the run could not end either."""
    deadline = time.monotonic() + DATABASE_SECONDS
    while True:
        try:
            return await in_db(read_known, claim.run.prompt_id)
        except OUTAGE:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)


async def _read_beside(question: _Question, judges: Sequence[Judge], answer: WrittenAnswer) -> Outcome:
    """Asks the model and the judges at once. Nothing of the answer is read before the verdict; a refusal closes the
    request.
    """
    passed = asyncio.Event()
    answer.gate = passed
    judging = question.start(judges)
    reading = asyncio.create_task(answer.read())
    try:
        refusal = await question.refusal(judging)
        if refusal is not None:
            return refusal
        question.let_through()
        passed.set()
        return await reading
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.wait({reading})


@dataclass(slots=True)
class _Question:
    services: Services
    claim: Claim
    text: str
    unread: UnreadTexts
    absent: bool = False  # a judge gave no verdict about it

    def start(self, judges: Sequence[Judge]) -> asyncio.Task[JudgeFinding]:
        """Begins to judge it."""
        return asyncio.create_task(self._judge(judges))

    async def _judge(self, judges: Sequence[Judge]) -> JudgeFinding:
        judgements = await self.services.judges.judge(judges, self.text)
        count_judgements(judgements)
        if spent := [one for judgement in judgements for one in judgement.spent]:
            self.services.spawn(record_costs(self.claim.run.conversation_id, spent))
        return finding_of_judgements(judgements, answered=False)

    async def refusal(self, judging: asyncio.Task[JudgeFinding]) -> Outcome | None:
        """Waits for the verdict. How the run ends because of it; None: the question may be answered.

        A stop before the verdict does not spare the question: it is in the conversation, and later ones refer to it. It
        stays unread, and is judged after the end of the run.
        """
        found = await judging
        if found.finding is None or found.finding.action is Action.FLAG:
            self._flag(found)
            return Outcome(RunStatus.FAILED, UNCHECKED, UNCHECKED_QUESTION) if found.refused else None
        withheld = Withheld(found.finding, self.text)
        if found.finding.action is Action.HOLD and await self._hold(withheld):
            return Outcome(RunStatus.WAITING)
        return Outcome(RunStatus.STOPPED, MODERATED, found.finding.notice, withheld=withheld)

    def let_through(self) -> None:
        """All judges were asked. Those that gave no verdict are asked again soon, also while it is being answered."""
        if self.absent:
            self.services.spawn(self._note_unjudged())
        else:
            self.unread.question = False

    async def _note_unjudged(self) -> None:
        """Unless the run has ended by now, and its end has noted it."""
        if await record("question", self.claim.run, note_unjudged, self.claim.run.prompt_id):
            self.unread.question = False

    def _flag(self, found: JudgeFinding) -> None:
        if found.finding is not None:
            self.services.spawn(self._open_case(found.finding))
        self.absent = self.absent or found.unjudged

    async def _open_case(self, finding: Finding) -> None:
        run = self.claim.run
        await record("question", run, open_message_case, run, finding, self.text, answered=False)

    async def _hold(self, withheld: Withheld) -> bool:
        """Whether the run waits for a reviewer now. If not, it ends, and its question is withheld all the same."""
        run = self.claim.run
        try:
            closing_events = await in_db(hold_question, run, withheld, owner=self.services.owner)
        except OUTAGE as error:
            logger.warning("run_not_held", run=str(run.id), error=type(error).__name__)
            return False
        if closing_events is None:
            return False
        await publish_withheld(run, answered=False)
        try:
            await close_attempt(run.conversation_id, run.id, run.attempt, closing_events)
        except (redis.RedisError, OSError) as error:  # the log begins anew with the question's rewriting
            logger.warning("event_log_append_failed", run=str(run.id), error=type(error).__name__)
        return True
