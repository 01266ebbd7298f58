"""Judges an answer in parts after they were shown: sentences or 200 tokens, each with the end of the part before it.

It never slows the stream. One request is under way at a time; what comes meanwhile is judged with the next. Of a hit
everything from the judged part on is withheld, from the beginning of its first sentence: while the answer is being
written the run ends, and after its end the message is rewritten.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from chat.eventlog.payloads import MODERATED
from chat.models import RunStatus
from chat.models.moderation import Action, CaseOrigin, Direction
from chat.moderation.cases import Finding
from chat.moderation.judging import note_unjudged
from chat.runs.context import ClaimedRun
from chat.runs.unread import note_being_read, note_read
from workers.generation.judging_costs import count_judgements, record_costs
from workers.generation.outcome import Outcome, Withheld
from workers.generation.records import record
from workers.generation.services import Services
from workers.generation.withheld import open_message_case, publish_withheld, withdraw_after_end
from workers.moderation.findings import finding_of_judgements
from workers.moderation.judge import Judge, Judgement, Spent
from workers.providers.token_estimate import estimate_tokens

PIECE_TOKENS: Final = 200
CARRIED_TOKENS: Final = 50  # of what was judged before go with the next piece
CARRIED_CHARS: Final = 4 * CARRIED_TOKENS  # at most; texts of other scripts have fewer characters for a token
LOST_SECONDS: Final = 60.0  # after the end of an answer; then its worker was lost with what it had not judged
_SENTENCE_END: Final = re.compile(r"""[.!?…]["'”’)\]*_]*\s|[。！？]|\n""")

logger = structlog.get_logger(__name__)


def _nothing() -> None:
    pass


class OutputJudge:
    """The judge of one answer. `base` is the text that was there before the run. `on_hit` is called once, as soon as
    something has to be withheld; it is for who writes the answer.
    """

    def __init__(self, services: Services, run: ClaimedRun, base: str = "") -> None:
        self.on_hit: Callable[[], None] = _nothing
        self._judges: Sequence[Judge] = services.judges.of(Direction.ANSWERED)
        self._services = services
        self._run = run
        self._parts: list[str] = []  # not judged yet
        self._tokens = 0  # in them, about
        self._last = ""  # the last character
        self._ready = False
        self._judged = len(base)  # code points of the answer that were judged, or are being judged
        self._carried = ""
        self._task: asyncio.Task[None] | None = None
        self._hit: tuple[Finding, int] | None = None  # what withholds the answer, and from which code point on
        self._flagged: list[Finding] = []
        self._unjudged = False  # a judge gave no verdict about a part
        self._noted_at: datetime | None = None  # the note that the end of the run has left
        self._spent: list[Spent] = []

    @property
    def active(self) -> bool:
        return bool(self._judges)

    # --- while the answer is being written ----------------------------------------------------------------------

    def feed(self, text: str) -> None:
        """Adds text that goes to readers now."""
        if self._hit is not None:
            return
        self._parts.append(text)
        self._tokens += estimate_tokens(text)
        ends = _SENTENCE_END.search(self._last + text) is not None
        self._last = text[-1:] or self._last
        self._ready = self._ready or ends or self._tokens >= PIECE_TOKENS
        self._go_on()

    def note_unjudged(self) -> None:
        """A judge gave no verdict about a part of the answer, or about what a tool was given or returned for it."""
        self._unjudged = True

    def _go_on(self) -> None:
        if self._ready and self._parts and self._task is None and self._hit is None:
            self._task = asyncio.create_task(self._judge_rest())

    async def _judge_rest(self) -> None:
        """Judges all that is not judged yet, as one piece."""
        try:
            piece = "".join(self._parts)
            text, start = self._carried + piece, self._judged - len(self._carried) + _whole_sentences(self._carried)
            self._parts, self._tokens, self._ready = [], 0, False
            self._judged += len(piece)
            self._carried = _end_of(text)
            judgements = await self._services.judges.judge(self._judges, text, behind=True)
            self._note(judgements, start)
        except Exception:
            self._unjudged = True
            logger.exception("answer_not_judged", run=str(self._run.id))
        finally:
            self._task = None
        self._go_on()

    def _note(self, judgements: Sequence[Judgement], start: int) -> None:
        count_judgements(judgements)
        self._spent += [one for judgement in judgements for one in judgement.spent]
        result = finding_of_judgements(judgements, answered=True)
        found, self._unjudged = result.finding, self._unjudged or result.unjudged
        if found is None or self._hit is not None:
            return
        if found.action is Action.FLAG:
            self._flagged.append(found)
            return
        self._hit = (found, start)
        self.on_hit()

    # --- at the end of the answer -------------------------------------------------------------------------------

    def outcome(self, text: str, first_token_ms: int | None) -> Outcome | None:
        """How the run ends because of what was found so far; None: nothing is to be withheld. `text` is all of it."""
        if self._hit is None:
            return None
        finding, start = self._hit
        withheld = Withheld(self._joined(finding), text, text[:start])
        return Outcome(RunStatus.STOPPED, MODERATED, finding.notice, first_token_ms=first_token_ms, withheld=withheld)

    def note_end(self, text: str, *, withheld: bool) -> None:
        """Notes `text`, with which the run ends, unless all of it is judged: if this worker is lost before `finish`, or
        ends, another one judges it. `withheld`: the end has the case. A part of the run's last transaction; sync.
        """
        is_read = self._judged >= len(text) and not (self._parts or self._task or self._hit or self._unjudged)
        if self.active and text and not withheld and not is_read:
            self._noted_at = note_being_read(self._run.message_id, LOST_SECONDS)

    async def finish(self, text: str, *, withheld: bool) -> None:
        """After the run has ended with `text`: judges what is left, and opens the case. Raises nothing.

        `withheld`: the run has ended because of this judge, and its end has the case.
        """
        if not withheld and self._hit is None:
            if rest := text[self._judged + sum(map(len, self._parts)) :]:  # which never came into the log
                self.feed(rest)
            await self._finish_judging()
        done = True
        if not withheld and self._hit is not None:
            finding, start = self._hit
            done = await record("answer", self._run, withdraw_after_end, self._run, self._joined(finding), text, start)
            await publish_withheld(self._run, answered=True)
        elif not withheld and self._flagged:
            await record(
                "answer", self._run, open_message_case, self._run, self._joined(None), text, answered=True
            )  # fmt: skip
        if self._unjudged and not withheld and self._hit is None:
            await record("answer", self._run, note_unjudged, self._run.message_id)
        elif done and self._noted_at is not None:
            await record("answer", self._run, note_read, self._run.message_id, self._noted_at)
        if self._spent:
            await record_costs(self._run.conversation_id, self._spent)

    async def _finish_judging(self) -> None:
        while self._task is not None or (self._parts and self._hit is None):
            self._ready = self._ready or bool(self._parts)
            self._go_on()
            if self._task is not None:
                await asyncio.wait({self._task})

    def _joined(self, finding: Finding | None) -> Finding:
        """All findings as one: the severest category, and each judge's first absence only."""
        found = [*([finding] if finding else []), *self._flagged]
        worst = max(found, key=lambda one: one.severity)
        details: list[dict[str, object]] = []
        absent: set[object] = set()
        for one in (detail for each in found for detail in each.details):
            if one in details or ("away" in one and one["away"] in absent):
                continue
            absent.add(one.get("away"))
            details.append(one)
        first = finding or worst
        return replace(
            first, origin=CaseOrigin.JUDGE, category=worst.category, severity=worst.severity, details=tuple(details)
        )


def _whole_sentences(text: str) -> int:
    """How many code points of `text` are whole sentences; a hit may have begun in the one that is not."""
    return max((found.end() for found in _SENTENCE_END.finditer(text)), default=0)


def _end_of(text: str) -> str:
    """The end of a text that goes with the next piece, from the beginning of a word on."""
    tail = text[-CARRIED_CHARS:]
    while len(tail) > 1 and estimate_tokens(tail) > CARRIED_TOKENS:
        tail = tail[len(tail) // 4 or 1 :]
    if len(tail) < len(text) and (blank := re.search(r"\s+", tail)) is not None:
        return tail[blank.end() :]
    return tail
