"""One judge: its backend behind a circuit breaker and a time limit. It gives a judgement or says why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from chat.models.moderation import Category
from chat.telemetry import metrics
from workers.moderation.base import (
    GARBAGE,
    MOST_CHARS,
    OPEN,
    TIMEOUT,
    JudgeBackend,
    JudgeError,
    Opinion,
    Picture,
    highest,
)
from workers.moderation.config import CategoryPolicy, JudgeDefinition
from workers.providers.base import TokenUsage
from workers.providers.circuit_breaker import CircuitBreaker

OVERLAP: Final = 200  # characters that two pieces of a long text share
AT_ONCE: Final = 4  # pieces of one text that are judged at the same time

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one request is billed with."""

    model: str
    endpoint: str
    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge says about a text. `away`: why it gave no verdict, a code of `JudgeError`; empty: it gave one."""

    judge: JudgeDefinition
    scores: Mapping[Category, float] = field(default_factory=dict)
    away: str = ""
    spent: tuple[Spent, ...] = ()

    @property
    def hits(self) -> tuple[CategoryPolicy, ...]:
        """The categories whose score reaches the site's threshold."""
        if self.away:
            return ()
        return tuple(one for one in self.judge.policies if self.scores.get(one.category, 0.0) >= one.threshold)


class Judge:
    """A judge of this worker. It belongs to one event loop."""

    def __init__(self, definition: JudgeDefinition, backend: JudgeBackend | None, breaker: CircuitBreaker) -> None:
        self.definition = definition
        self.in_use = 0
        self.retired = False
        self.failing = bool(definition.trouble)  # its last request gave no verdict
        self._backend = backend
        self._breaker = breaker

    @property
    def away(self) -> bool:
        """Whether it is known to give no verdict at the moment."""
        return self.failing or self._breaker.state != "closed"

    async def judge(self, text: str, seconds: float, pictures: Sequence[Picture] = ()) -> Judgement:
        """Its judgement of a text and the pictures with it, in at most so many seconds. It does not say which of them a
        score is of. Pictures are left out by a judge that reads none.
        """
        if self._backend is None or not self._breaker.try_acquire():
            return self._gave_none(JudgeError(OPEN, self.definition.trouble or "circuit breaker open"), ())
        spent: list[Spent] = []
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                scores = await self._judge_pieces(self._backend, text, pictures, spent)
        except JudgeError as error:
            failure = error
        except TimeoutError:
            failure = JudgeError(TIMEOUT, f"no verdict in {seconds:g} s")
        except asyncio.CancelledError:
            self._breaker.cancelled()
            raise
        except Exception as error:
            logger.exception("judge_crashed", judge=self.definition.name)
            failure = JudgeError(GARBAGE, type(error).__name__)
        else:
            self._breaker.succeeded()
            self.failing = False
            metrics.observe_moderation("judge", time.monotonic() - began)
            return Judgement(self.definition, scores, spent=tuple(spent))
        self._breaker.failed()
        metrics.observe_moderation("judge", time.monotonic() - began)
        return self._gave_none(failure, tuple(spent))

    async def _judge_pieces(
        self, backend: JudgeBackend, text: str, pictures: Sequence[Picture], spent: list[Spent]
    ) -> dict[Category, float]:
        """The highest scores of all pieces and pictures. The first that fails ends the others."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(piece: str | Picture) -> Opinion:
            async with free:
                try:
                    judging = backend.judge(piece) if isinstance(piece, str) else backend.judge_picture(piece)
                    opinion = await judging
                except JudgeError as error:
                    if error.usage is not None:
                        spent.append(Spent(backend.model, backend.endpoint, error.usage))
                    raise
                if opinion.usage is not None:
                    spent.append(Spent(backend.model, backend.endpoint, opinion.usage))
                return opinion

        pieces: list[str | Picture] = list(split(text)) if text or not pictures else []
        pieces += pictures if backend.sees else ()
        if len(pieces) == 1:
            return dict((await one(pieces[0])).scores)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(piece)) for piece in pieces]
        except ExceptionGroup as errors:
            raise _first(errors) from None
        return highest(*(task.result().scores for task in tasks))

    def _gave_none(self, error: JudgeError, spent: tuple[Spent, ...]) -> Judgement:
        if not self.failing:
            logger.warning("judge_failed", judge=self.definition.name, code=error.code, detail=error.detail)
        self.failing = True
        metrics.count_judge_failure(self.definition.name, error.code)
        return Judgement(self.definition, away=error.code, spent=spent)

    async def aclose(self) -> None:
        if self._backend is not None:
            await self._backend.aclose()


def split(text: str) -> list[str]:
    """A text in pieces that a judge takes; each but the first begins with the end of the one before."""
    step = MOST_CHARS - OVERLAP
    return [text[at : at + MOST_CHARS] for at in range(0, max(1, len(text) - OVERLAP), step)]


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    found: Exception = errors
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
