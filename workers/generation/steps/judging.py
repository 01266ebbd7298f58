"""Judges of answers read what tools are given and return, too: the second tier beside the rules of `screening`.

What people entered for a call is read by the judges of questions (`entered`).

A verdict is waited for before anything is stored, shown, sent to the tool or read by the model: the arguments of a
request's calls are judged at once, and each result when it comes. What a judge holds or blocks is withheld as if a rule
had found it. What rules mask is masked before a judge gets it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from accounts.lib.db import in_db
from chat.models import Step
from chat.models.moderation import Action as ModelAction
from chat.models.moderation import Direction
from chat.moderation.matching.matcher import Action
from chat.moderation.structured import search_json
from chat.runs.context import ClaimedRun
from chat.runs.step_rows import CallEnd
from workers.generation.answer_case import AnswerCase
from workers.generation.judging_costs import count_judgements, record_costs
from workers.generation.output_judge import OutputJudge
from workers.generation.services import Services
from workers.generation.steps.entered import UNCHECKED, Entered, flag_entered, read_entered, withhold_entered
from workers.generation.steps.screening import (
    CallScreen,
    CallWithheld,
    Found,
    ScreenedCall,
    ScreenedEnd,
    ScreenedRequest,
    text_of,
    without_result,
)
from workers.generation.steps.stored import stored, through_outages
from workers.moderation.base import PICTURE_TYPES, Picture
from workers.moderation.findings import JudgeFinding, finding_of_judgements
from workers.moderation.judge import Judge
from workers.providers.base import Replay, RequestedCall
from workers.tools.base import Tool

MOST_CHARS: Final = 48_000  # of one text that judges read
MOST_PICTURES: Final = 8  # of one result


class JudgedCalls(CallScreen):
    """The screen of calls with the judges of answers behind its rules. `output`, that of the answer's text, learns when
    one gave no verdict about a text that was let through.
    """

    def __init__(self, services: Services, run: ClaimedRun, case: AnswerCase | None, output: OutputJudge) -> None:
        super().__init__(case, run.user_id, run.model)
        self._services = services
        self._run = run
        self._judges = services.judges.of(Direction.ANSWERED)
        # They read what tools make, too; what judges of answers read anyway they do not read again.
        self._file_judges = [one for one in services.judges.of(Direction.FILES) if one not in self._judges]
        self._output = output

    async def request(
        self, requested: Sequence[RequestedCall], replay: Replay | None, tools: Mapping[str, Tool]
    ) -> ScreenedRequest:
        asked = await super().request(requested, replay, tools)
        if not self._judges:
            return asked
        calls = await asyncio.gather(*(self._judged_call(one) for one in asked.calls))
        changed = any(found is not None and found.withholds for _, found in calls)
        return asked._replace(calls=list(calls), replay=None if changed else asked.replay)

    async def _judged_call(self, screened: ScreenedCall) -> ScreenedCall:
        call, found = screened
        if found is not None and found.withholds:
            return screened
        arguments = _readable(call.arguments)
        said = await self._judge(f"{call.name}\n{arguments}", arguments)
        found = _joined(found, said)
        if found is not None and found.withholds:
            call = replace(call, arguments="", name=call.name if call.title else "?")
        return ScreenedCall(call, found)

    async def entered(self, steps: Sequence[Step]) -> None:
        """Has the judges of questions read what people entered in the last wait. Raises `CallWithheld`, and `Gone`."""
        judges = self._services.judges.of(Direction.ASKED)
        if not judges:
            return
        for one in await through_outages(lambda: in_db(read_entered, steps)):
            judging = asyncio.create_task(self._judge_entered(judges, one))
            try:
                await asyncio.shield(judging)
            except asyncio.CancelledError:  # a stop before the verdict does not spare it: members can read it
                self._services.spawn(_ended(judging))
                raise

    async def _judge_entered(self, judges: Sequence[Judge], one: Entered) -> None:
        result = await self._ask(judges, one.text, answered=False)
        if (finding := result.finding) is not None and finding.action is not ModelAction.FLAG:
            notice = await stored(withhold_entered, self._run, self._services.owner, one, finding)
            raise CallWithheld(notice, was_shown=True)
        if finding is not None:
            await stored(flag_entered, self._run, one, finding)
        if result.refused:
            raise CallWithheld(UNCHECKED)

    async def end(self, end: CallEnd) -> ScreenedEnd:
        screened = await super().end(end)
        shown = screened.end
        file_judges = self._file_judges if shown.files else ()
        if not (self._judges or file_judges) or screened.withholds is not None:
            return screened
        beside = [str(text) for one in shown.sources for text in one.values()]
        files = [name for name, _, _ in shown.files]
        files += [text for _, _, content in shown.files if (text := text_of(content)) is not None]
        beside += [*shown.queries, *files]
        pictures = [Picture(kind, content) for _, kind, content in shown.files if kind in PICTURE_TYPES]
        original = "\n\n".join([shown.output, *beside])[: len(shown.output) + MOST_CHARS]
        judged = "\n\n".join(filter(None, [_readable(shown.output), *beside]))
        said = await self._judge(judged, original, pictures[:MOST_PICTURES])
        if file_judges:
            read = await self._judge("\n\n".join(files), original, pictures[:MOST_PICTURES], file_judges)
            said = _joined(said, read)
        if said is not None:  # a release brings back as much of the original as was the result
            details = tuple({**one, "output": len(shown.output)} for one in said.finding.details)
            said = replace(said, finding=replace(said.finding, details=details))
        screened = replace(screened, found=_joined(screened.found, said))
        return without_result(screened) if screened.withholds is not None else screened

    async def question(self, sentence: str, schema: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Found | None]:
        sentence, schema, found = await super().question(sentence, schema)
        if not self._judges or (found is not None and found.withholds):
            return sentence, schema, found
        text = f"{sentence}\n{json.dumps(schema, ensure_ascii=False)}"
        return sentence, schema, _joined(found, await self._judge(text, text))

    async def _judge(
        self, text: str, original: str, pictures: Sequence[Picture] = (), judges: Sequence[Judge] | None = None
    ) -> Found | None:
        """What the judges of answers, or others, find in a text; a case gets `original`."""
        asked = self._judges if judges is None else judges
        if not asked or (not text.strip() and not pictures):
            return None
        result = await self._ask(asked, text, pictures, answered=True)
        if result.unjudged:
            self._output.note_unjudged()
        if result.finding is None:
            return None
        return Found(Action[result.finding.action.name], result.finding, original)

    async def _ask(
        self, judges: Sequence[Judge], text: str, pictures: Sequence[Picture] = (), *, answered: bool
    ) -> JudgeFinding:
        judgements = await self._services.judges.judge(judges, text[:MOST_CHARS], pictures=pictures)
        count_judgements(judgements)
        if spent := [one for judgement in judgements for one in judgement.spent]:
            self._services.spawn(record_costs(self._run.conversation_id, spent))
        return finding_of_judgements(judgements, answered=answered)


async def _ended(judging: asyncio.Task[None]) -> None:
    await asyncio.wait({judging})
    if not judging.cancelled():
        judging.exception()  # the answer has stopped already


def _readable(text: str) -> str:
    """JSON without needless escapes, which would hide its words."""
    return search_json(lambda _text: (), text).original


def _joined(rules: Found | None, judges: Found | None) -> Found | None:
    """What both tiers found in one text. The original is what the rules got: it is not masked yet."""
    if rules is None or judges is None:
        return rules or judges
    first, second = (judges, rules) if judges.action > rules.action else (rules, judges)
    worst = max(rules.finding, judges.finding, key=lambda one: one.severity)
    details = (*first.finding.details, *second.finding.details)
    finding = replace(first.finding, category=worst.category, severity=worst.severity, details=details)
    return Found(first.action, finding, rules.original)
