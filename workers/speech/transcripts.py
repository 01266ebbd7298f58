"""Publishes and stores what a recogniser reports: the start and stop of speech, partial and final transcripts."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.conversations.membership import has_others, may_write_in
from chat.eventlog import store
from chat.moderation.cases import shown_moderation
from chat.moderation.screening import Spoken, mask_spoken, screen_transcript
from chat.protocol.frames import encode_event
from chat.voice import recordings
from chat.voice.recordings import ClaimedRecording
from workers.asr.base import AsrEvent
from workers.asr.stabilizer import Stabilizer
from workers.speech.dictation import Dictation
from workers.speech.publishing import RecordingPublisher

logger = structlog.get_logger(__name__)

PARTIAL_SECONDS: Final = 0.1  # between two partials; the newest one is published


class Transcripts:
    """The transcripts of one recording, without what moderation withholds. What is sent automatically is screened once
    more as a message, whose case has the original.

    Partials go to the speaker's sockets only. A final goes into the conversation's event log as soon as there is a
    conversation. Once the final of an utterance is published, no partial of it follows.
    """

    def __init__(
        self,
        recording: ClaimedRecording,
        publisher: RecordingPublisher,
        dictation: Dictation,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._recording = recording
        self._publisher = publisher
        self._dictation = dictation
        self._spawn = spawn
        self._stabilizer = Stabilizer()
        self._partial: AsrEvent | None = None
        self._partial_timer: asyncio.TimerHandle | None = None
        self._partial_at = 0.0
        self._revision = 0
        self._order = asyncio.Lock()  # held while a transcript is published
        self._last_final = 0  # number of the utterance

    async def handle(self, event: AsrEvent) -> None:
        """Raises an OUTAGE exception where a final cannot be stored or published."""
        if event.kind == "partial":
            self._schedule_partial(event)
        elif event.kind == "final":
            await self._publish_final(event)
        elif event.kind == "reconnected":
            await self._publisher.warn("backend_reconnected", event.at_ms)
        else:
            if event.kind == "speech_started":
                self._stabilizer, self._revision = Stabilizer(), 0
            kind = "speech.started" if event.kind == "speech_started" else "speech.stopped"
            await self._publisher.notify(kind, utterance=event.utterance, at_ms=event.at_ms)

    def cancel_partial(self) -> None:
        """A partial that waits for its time is not published."""
        if self._partial_timer is not None:
            self._partial_timer.cancel()

    def _schedule_partial(self, event: AsrEvent) -> None:
        """Publishes it now, or the newest one PARTIAL_SECONDS after the last."""
        self._partial = event
        if self._partial_timer is None:
            delay = max(self._partial_at + PARTIAL_SECONDS - time.monotonic(), 0)
            self._partial_timer = asyncio.get_running_loop().call_later(delay, self._publish_newest_partial)

    def _publish_newest_partial(self) -> None:
        self._partial_timer = None
        event, self._partial = self._partial, None
        if event is None:
            return
        self._partial_at = time.monotonic()
        self._revision += 1
        self._spawn(self._publish_partial(event, self._revision, self._partial_at, self._stabilizer))

    async def _publish_partial(self, event: AsrEvent, revision: int, at: float, stabilizer: Stabilizer) -> None:
        async with self._order:
            if event.utterance <= self._last_final:
                return
            try:
                text = await in_db(mask_spoken, event.text, self._recording.user_id)
            except OUTAGE as error:  # the final comes later
                logger.warning("partial_not_screened", error=type(error).__name__)
                return
            fields = {
                "utterance": event.utterance,
                "rev": revision,
                "text": text,
                "stable_chars": stabilizer.offer(text, at * 1000),
            }
            await self._publisher.notify("transcript.partial", light=True, **fields)

    async def _publish_final(self, event: AsrEvent) -> None:
        self._partial = None
        async with self._order:
            self._last_final = event.utterance
            await self._store_final(event)
        if self._recording.auto_send and event.text:
            self._dictation.add(event.utterance, event.text)

    async def _store_final(self, event: AsrEvent) -> None:
        spoken = await in_db(self._screen, event)
        await in_db(
            recordings.keep_utterance,
            self._recording.id, event.utterance, spoken.text, event.start_ms, event.end_ms, event.confidence,
        )  # fmt: skip
        await self._publish_stored(event, spoken.text)
        if spoken.case is not None:
            notice: dict[str, Any] = {"utterance": event.utterance, **shown_moderation(spoken.case)}
            await self._publisher.notify("moderation.notice", **notice)

    def _screen(self, event: AsrEvent) -> Spoken:
        return screen_transcript(
            event.text,
            self._recording.user_id,
            uuid.uuid5(self._recording.id, f"utterance-{event.utterance}"),
            self._dictation.conversation_id,
            is_sent=self._recording.auto_send,
        )

    async def _publish_stored(self, event: AsrEvent, text: str) -> None:
        fields: dict[str, Any] = {
            "utterance": event.utterance,
            "text": text,
            "start_ms": event.start_ms,
            "end_ms": event.end_ms,
        }
        if event.confidence is not None:
            fields["confidence"] = event.confidence
        conversation = self._dictation.conversation_id
        if conversation is None or not await in_db(self._is_for_all, conversation):
            await self._publisher.notify("transcript.final", **fields)
            return
        body = encode_event(
            {
                "type": "transcript.final",
                "conversation_id": str(conversation),
                "recording_id": str(self._recording.id),
                "author": self._recording.speaker,
                **fields,
            }
        )
        await store.append(store.Append(conversation, [(body, False)]))

    def _is_for_all(self, conversation_id: uuid.UUID) -> bool:
        """Whether a final goes into the conversation's log. What is not sent by itself is the speaker's draft, which
        the other members do not get; and whoever may not write there any more says nothing more to them.
        """
        user_id = self._recording.user_id
        if not may_write_in(user_id, conversation_id):
            return False
        return self._recording.auto_send or not has_others(user_id, conversation_id)
