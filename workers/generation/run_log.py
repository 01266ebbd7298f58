"""The text and events of one attempt at an answer, and how much of them is in the event log."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from chat.eventlog import events, store
from chat.runs.lifecycle import Checkpoint

MAX_DELTA_CHARACTERS: Final = 8_000  # code points, so that no frame is longer than 64 KiB, however much is waiting


def _nothing() -> None:
    pass


class RunLog:
    """What one attempt at an answer has produced, and how much of it is in the log.

    `schedule(run_log, at_once)` tells the emitter that there is something to append.
    """

    __slots__ = (
        "_events",
        "_flushed",
        "_pending",
        "_schedule",
        "attempt",
        "conversation_id",
        "due",
        "epoch",
        "fenced",
        "flushed_length",
        "ids",
        "in_flight",
        "number",
        "on_shown",
        "on_unannounced",
        "run_id",
        "saved_length",
        "seq",
        "text_taken_at",
        "unannounced",
        "waiters",
    )

    def __init__(
        self, schedule: Callable[[RunLog, bool], None], conversation_id: uuid.UUID, run_id: uuid.UUID, attempt: int
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
        self.flushed_length = 0  # code points of the text that are in the log
        self.saved_length = -1  # ... and in PostgreSQL
        self.text_taken_at = 0.0  # when text last went into an append, seconds of the monotonic clock
        self._flushed: list[str] = []
        self._pending: list[str] = []
        self._events: list[events.Event] = []
        self.waiters: list[asyncio.Future[None]] = []

    # --- in -----------------------------------------------------------------------------------------------------

    def feed(self, text: str) -> None:
        """Adds text of the answer."""
        first = not self.flushed_length and not self._pending
        self._pending.append(text)
        self._schedule(self, first)

    def event(self, event: events.Event) -> None:
        """Adds an event that is not a delta. It goes before the text that is waiting (only `run.started` does that)."""
        self._events.append(event)
        self._schedule(self, True)

    async def flush(self) -> None:
        """Waits until everything so far is in the log, or the attempt is fenced."""
        if self.has_pending or self.in_flight:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            self._schedule(self, True)
            await waiter

    def abandon(self) -> None:
        """Drops what is not in the log yet, because the log was unreachable too long: only the run's end follows."""
        self._pending.clear()
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
        return bool(self._pending or self._events)

    @property
    def text(self) -> str:
        """The whole text, including what is not in the log yet."""
        return "".join(self._flushed) + "".join(self._pending)

    def next_append(self, now: float, gaps: list[float]) -> store.Append:
        """What is waiting, as one append. Returns the same one until `note_result`. The seconds since the text before
        are added to `gaps`.
        """
        if self.in_flight is None:
            made, self._events = self._events, []
            text = "".join(self._pending)
            self._pending.clear()
            if text:
                for start in range(0, len(text), MAX_DELTA_CHARACTERS):
                    piece = text[start : start + MAX_DELTA_CHARACTERS]
                    made.append(events.run_delta(*self.ids, self.attempt, self.flushed_length + start, piece))
                self._flushed.append(text)
                self.flushed_length += len(text)
                if self.text_taken_at:
                    gaps.append(now - self.text_taken_at)
                self.text_taken_at = now
            self.number += 1
            self.in_flight = store.Append(self.conversation_id, made, self.run_id, self.attempt, self.number)
        return self.in_flight

    def note_result(self, result: store.Appended) -> None:
        """The append under way has this outcome."""
        if result.unannounced:
            self.unannounced = True  # the append stays in flight until its owner has announced the run
            self.on_unannounced()
            return
        self.in_flight = None
        if self.on_shown is not None and self.flushed_length:
            shown, self.on_shown = self.on_shown, None
            shown()
        if result.fenced:
            self.fenced = True
        if self.epoch and result.epoch != self.epoch:
            # The log was lost. Readers only have the text in PostgreSQL, so that must reach to where the log continues.
            self.saved_length = -1
        self.epoch, self.seq = result.epoch, result.seq

    def checkpoint(self) -> Checkpoint | None:
        """What PostgreSQL should store, or None when it already does."""
        if self.in_flight is not None or self.flushed_length == self.saved_length or not self.epoch:
            return None
        if len(self._flushed) > 1:
            self._flushed = ["".join(self._flushed)]
        self.saved_length = self.flushed_length
        return Checkpoint(self.run_id, self.attempt, self.epoch, self.seq, "".join(self._flushed))
