"""The text, reasoning and events of one attempt at an answer, and how much of them is in the event log."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from chat.eventlog import events, store
from chat.runs.claims import Checkpoint
from workers.generation.growing_text import GrowingText
from workers.generation.screening import AnswerScreen

MAX_DELTA_CHARACTERS: Final = 8_000  # code points, so that no frame is longer than 64 KiB, however much is waiting

logger = structlog.get_logger(__name__)


def _nothing() -> None:
    pass


class RunLog:
    """What one attempt at an answer has produced, and how much of it is in the log.

    `text_before` is the text of an answer that the run continues, or of finished steps: everybody has it, and the
    attempt's own text goes after. `reasoning_before` is likewise the thinking of finished steps. `step` is the step
    whose thinking comes now.
    `screen` moderates both texts, just before they go into an append.
    `schedule(run_log, at_once)` tells the emitter that there is something to append.
    """

    __slots__ = (
        "_answer",
        "_events",
        "_reasoning",
        "_schedule",
        "attempt",
        "base_length",
        "conversation_id",
        "due",
        "epoch",
        "fenced",
        "ids",
        "in_flight",
        "number",
        "on_shown",
        "on_unannounced",
        "run_id",
        "seq",
        "step",
        "text_taken_at",
        "unannounced",
        "waiters",
    )

    def __init__(
        self,
        schedule: Callable[[RunLog, bool], None],
        conversation_id: uuid.UUID,
        run_id: uuid.UUID,
        attempt: int,
        text_before: str = "",
        screen: AnswerScreen | None = None,
        reasoning_before: str = "",
    ) -> None:
        self._schedule = schedule
        self.conversation_id = conversation_id
        self.run_id = run_id
        self.attempt = attempt
        self.ids = (str(conversation_id), str(run_id))
        self.number = 0
        self.epoch = ""
        self.seq = 0
        self.due = 0.0
        self.fenced = False
        self.unannounced = False
        self.on_unannounced: Callable[[], None] = _nothing
        self.on_shown: Callable[[], None] | None = None  # called once, when the first text is in the log
        self.in_flight: store.Append | None = None
        self.text_taken_at = 0.0  # when text last went into an append, seconds of the monotonic clock
        self._answer = GrowingText(saved_length=-1, text=text_before, screen=screen.answer if screen else None)
        # A run without any stores none.
        thinking = screen.thinking if screen else None
        self._reasoning = GrowingText(saved_length=len(reasoning_before), text=reasoning_before, screen=thinking)
        self.step = 0
        self.base_length = len(text_before)  # code points that were there before this run
        self._events: list[events.Event] = []
        self.waiters: list[asyncio.Future[None]] = []

    # --- in -----------------------------------------------------------------------------------------------------

    def feed(self, text: str) -> None:
        """Adds text of the answer."""
        self._schedule(self, self._answer.feed(text))

    def think(self, text: str) -> None:
        """Adds what the model thinks: a text of its own, with the same rules."""
        self._schedule(self, self._reasoning.feed(text))

    def event(self, event: events.Event) -> None:
        """Adds an event that is not a delta. It goes before the text that is waiting: it is of the time before it."""
        self._events.append(event)
        self._schedule(self, True)

    def complete(self) -> None:
        """Both texts have ended: what their screens still hold back is released or withheld."""
        self._reasoning.sift(last=True)
        self._answer.sift(last=True)

    def pause(self) -> None:
        """A step has ended: nothing of both texts is held back any more."""
        self.complete()
        self._schedule(self, True)

    async def flush(self) -> None:
        """Waits until everything so far is in the log, or the attempt is fenced."""
        if self.has_pending or self.in_flight:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            self._schedule(self, True)
            await waiter

    def judge_by(self, feed: Callable[[str], None]) -> None:
        """Calls `feed` with the text of the answer that goes into the log, as it does."""
        self._answer.on_taken = feed

    def abandon(self) -> None:
        """Drops what is not in the log yet, because the log was unreachable too long: only the run's end follows."""
        self._answer.drop_pending()
        self._reasoning.drop_pending()
        self._events.clear()
        if self.in_flight is not None:
            self.in_flight = replace(self.in_flight, events=())

    def announced(self) -> None:
        """The log has the run's first events now, so its deltas can be appended."""
        self.unannounced = False
        self._schedule(self, True)

    # --- out ----------------------------------------------------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        return bool(self._answer.has_pending or self._reasoning.has_pending or self._events)

    @property
    def text(self) -> str:
        """The whole text, including what is not in the log yet."""
        return self._answer.text

    @property
    def flushed_length(self) -> int:
        """Code points of the text that are in the log, or on their way there."""
        return self._answer.flushed_length

    @property
    def reasoning(self) -> str:
        """The whole reasoning, likewise."""
        return self._reasoning.text

    @property
    def own_text(self) -> str:
        """The part of it that this run has written."""
        return self.text[self.base_length :]

    def sift(self) -> bool:
        """Screens what is waiting. Returns whether there is something to append."""
        # Where the model writes on, its thinking is whole for now.
        thought, written = self._reasoning.sift(last=self._answer.is_growing), self._answer.sift()
        return thought or written or bool(self._events) or self.in_flight is not None

    def finish_waiting(self) -> None:
        """Everything so far is in the log, or withheld from it."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()

    def next_append(self, now: float, gaps: list[float]) -> store.Append:
        """What is waiting, as one append, reasoning before text. Returns the same one until `note_result`. The seconds
        since the text before are added to `gaps`.
        """
        if self.in_flight is None:
            made, self._events = self._events, []
            made += self._deltas(self._reasoning, partial(events.run_reasoning, step=self.step))
            if texts := self._deltas(self._answer, events.run_delta):
                made += texts
                if self.text_taken_at:
                    gaps.append(now - self.text_taken_at)
                self.text_taken_at = now
            self.number += 1
            self.in_flight = store.Append(self.conversation_id, made, self.run_id, self.attempt, self.number)
        return self.in_flight

    def _deltas(
        self, growing: GrowingText, build: Callable[[str, str, int, int, str], events.Event]
    ) -> list[events.Event]:
        """What is not in the log yet of a text, as deltas."""
        index = growing.flushed_length
        text = growing.take()
        return [
            build(*self.ids, self.attempt, index + start, text[start : start + MAX_DELTA_CHARACTERS])
            for start in range(0, len(text), MAX_DELTA_CHARACTERS)
        ]

    def note_result(self, result: store.Appended) -> None:
        """The append under way has this outcome."""
        if result.unannounced:
            self.unannounced = True  # the append stays in flight until its owner has announced the run
            self.on_unannounced()
            return
        self.in_flight = None
        if self.on_shown is not None and self._answer.flushed_length > self.base_length:
            shown, self.on_shown = self.on_shown, None
            shown()
        if result.fenced and not self.fenced:
            self.fenced = True
            note = "another attempt has this run, or it has ended; nothing more of this one is shown"
            logger.warning("run_lost", run=str(self.run_id), attempt=self.attempt, note=note)
        if self.epoch and result.epoch != self.epoch:
            # The log was lost. Readers only have the text in PostgreSQL, so that must reach to where the log continues.
            self.forget_saved()
        self.epoch, self.seq = result.epoch, result.seq

    def checkpoint(self) -> Checkpoint | None:
        """What PostgreSQL should store, or None when it already does."""
        saved = self._answer.is_saved and self._reasoning.is_saved
        if self.in_flight is not None or saved or not self.epoch:
            return None
        reasoning = None if self._reasoning.is_saved else self._reasoning.save()
        return Checkpoint(self.run_id, self.attempt, self.epoch, self.seq, self._answer.save(), reasoning=reasoning)

    def forget_saved(self) -> None:
        """PostgreSQL may not have the texts: the next checkpoint has them all."""
        self._answer.saved_length = -1
        self._reasoning.saved_length = -1 if self._reasoning.flushed_length else 0
