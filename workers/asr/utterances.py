"""Puts the events of recognisers that find utterances themselves into the order that `base` requires."""

from __future__ import annotations

from workers.asr.base import AsrEvent, EventStream


class Utterances:
    """One utterance after another. Events that a backend leaves out (a start, a stop) are added."""

    def __init__(self, events: EventStream) -> None:
        self._events = events
        self._number = 0
        self._shown = ""
        self.open = False
        self._stopped = False

    def start(self, at_ms: int) -> None:
        if not self.open:
            self.open, self._stopped, self._shown = True, False, ""
            self._number += 1
            self._events.put(AsrEvent("speech_started", self._number, at_ms=at_ms))

    def partial(self, text: str, start_ms: int, end_ms: int) -> None:
        text = text.strip()
        if text:
            self.start(start_ms)
            if text != self._shown:
                self._shown = text
                self._events.put(AsrEvent("partial", self._number, text=text, at_ms=end_ms))

    def final(self, text: str, start_ms: int, end_ms: int, confidence: float | None = None) -> None:
        """Does nothing where there was no utterance and no text."""
        text = text.strip()
        if not self.open and not text:
            return
        self.start(start_ms)
        self._events.put(AsrEvent("speech_stopped", self._number, at_ms=end_ms))
        self._events.put(
            AsrEvent(
                "final",
                self._number,
                text=text,
                start_ms=start_ms,
                end_ms=max(end_ms, start_ms),
                confidence=round(confidence, 3) if confidence is not None else None,
            )
        )
        self.open = False
