"""All judges of a worker. They can change while texts are judged; a removed judge is closed after its last text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from chat.models.moderation import Direction
from workers.moderation.base import JudgeBackend, Picture
from workers.moderation.config import JudgeDefinition
from workers.moderation.judge import Judge, Judgement
from workers.providers.circuit_breaker import CircuitBreaker

logger = structlog.get_logger(__name__)

NONE: Final[tuple[Judge, ...]] = ()


class Panel:
    """The judges of a worker. `make` creates a backend; a circuit breaker stays open for `seconds`."""

    def __init__(self, make: Callable[[JudgeDefinition], JudgeBackend], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._judges: dict[str, Judge] = {}
        self._by_direction: dict[Direction, tuple[Judge, ...]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def set_judges(self, definitions: Sequence[JudgeDefinition]) -> bool:
        """Replaces the judges. Returns False when nothing changed. An unchanged judge keeps its circuit breaker."""
        if list(definitions) == [judge.definition for judge in self._judges.values()]:
            return False
        before, self._judges = self._judges, {}
        for definition in definitions:
            old = before.get(definition.id)
            same = old is not None and old.definition == definition
            self._judges[definition.id] = old if old is not None and same else self._open(definition)
        self._by_direction = {
            direction: found
            for direction in Direction
            if (found := tuple(one for one in self._judges.values() if direction in one.definition.directions))
        }
        for old in before.values():
            if self._judges.get(old.definition.id) is not old:
                old.retired = True
                self._close_unused(old)
        return True

    def _open(self, definition: JudgeDefinition) -> Judge:
        if definition.trouble:
            logger.error("judge_unusable", judge=definition.name, trouble=definition.trouble)
        backend = None if definition.trouble else self._make(definition)
        return Judge(definition, backend, CircuitBreaker(self._seconds))

    def of(self, direction: Direction) -> tuple[Judge, ...]:
        """The judges of a direction."""
        return self._by_direction.get(direction, NONE)

    def away(self) -> dict[str, float]:
        """1 for each judge that gives no verdict at the moment, else 0, by name."""
        return {judge.definition.name: float(judge.away) for judge in self._judges.values()}

    async def judge(
        self, judges: Sequence[Judge], text: str, *, behind: bool = False, pictures: Sequence[Picture] = ()
    ) -> list[Judgement]:
        """What these judges say about a text and the pictures with it, all asked at once. A cancellation ends their
        requests.
        """
        for judge in judges:
            judge.in_use += 1
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(judge.judge(text, _seconds(judge, behind=behind), pictures)) for judge in judges
                ]
            return [task.result() for task in tasks]
        finally:
            for judge in judges:
                judge.in_use -= 1
                self._close_unused(judge)

    def _close_unused(self, judge: Judge) -> None:
        if judge.retired and judge.in_use == 0:
            judge.retired = False  # closed once
            task = asyncio.get_running_loop().create_task(judge.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Ends every request and connection."""
        for judge in self._judges.values():
            await judge.aclose()
        if self._closing:
            await asyncio.wait(self._closing)


def _seconds(judge: Judge, *, behind: bool) -> float:
    return judge.definition.behind_seconds if behind else judge.definition.seconds


def no_judges() -> Panel:
    """A panel without judges, for a worker that has not read them yet."""

    def make(_definition: JudgeDefinition) -> JudgeBackend:
        raise NotImplementedError

    return Panel(make, 0.0)
