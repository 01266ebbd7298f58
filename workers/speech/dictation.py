"""Sends final transcripts automatically as messages, through the same turn as any message.

Utterances that end while an answer is being written wait for its end and are sent as one message.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import redis
import structlog
from django.utils.translation import gettext as _

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models.moderation import Direction
from chat.moderation.screening import mask_spoken
from chat.protocol.commands import MessageSend
from chat.protocol.errors import Busy, ChatError, Moderated
from chat.turns.accepted import Accepted
from chat.turns.submit import submit
from chat.voice import recordings
from chat.voice.recordings import ClaimedRecording, recording_frame

RETRY_SECONDS: Final = 0.25
BUSY_SECONDS: Final = 120.0  # an answer may take so long; then the transcripts go back to the speaker unsent
FINISH_SECONDS: Final = 30.0

logger = structlog.get_logger(__name__)


class Dictation:
    """The messages of one recording. `conversation_id` is known from the first message on, if not before."""

    def __init__(self, recording: ClaimedRecording) -> None:
        self.recording = recording
        self.conversation_id = recording.conversation_id
        self._pending: list[tuple[int, str]] = []  # utterance, text
        self._sender: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Future[None]] = set()  # jobs and news of messages that were sent

    def add(self, utterance: int, text: str) -> None:
        """Sends the transcript, at once or with the ones that still wait."""
        self._pending.append((utterance, text))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def finish(self) -> None:
        """Waits until every transcript is sent or returned, and those that were sent are announced to the others, as
        far as FINISH_SECONDS suffice for each: a worker that ends after its last recording would lose the news.
        """
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=FINISH_SECONDS)
            if not self._sender.done():
                self._sender.cancel()
                await self._return_unsent(_("An answer was still being written, so this was not sent."))
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=FINISH_SECONDS)

    async def _send(self) -> None:
        waited = 0.0
        while self._pending:
            try:
                await self._send_message()
                waited = 0.0
            except ChatError as error:
                if not isinstance(error, Busy) or waited > BUSY_SECONDS:
                    await self._return_unsent(error.message, error)
                    return
                waited += RETRY_SECONDS
                await asyncio.sleep(RETRY_SECONDS)
            except OUTAGE as error:
                logger.warning("message_send_delayed", error=type(error).__name__)
                if waited > BUSY_SECONDS:
                    return
                waited += 1
                await asyncio.sleep(1)

    async def _send_message(self) -> None:
        """Sends all pending transcripts as one message. Repeating it makes no second message of the same ones."""
        sent = list(self._pending)
        numbers = [number for number, _ in sent]
        command = MessageSend(
            conversation_id=self.conversation_id,
            client_id=uuid.uuid5(self.recording.id, f"{numbers[0]}-{numbers[-1]}"),
            text=" ".join(text for _, text in sent),
            ask=True,  # who speaks to the model is answered, whatever the conversation's rule
        )
        is_first = self.conversation_id is None

        @asynccontextmanager
        async def note_sent(accepted: Accepted) -> AsyncIterator[None]:
            del self._pending[: len(sent)]
            self.conversation_id = accepted.conversation_id
            await in_db(recordings.note_sent, self.recording.id, numbers, accepted.conversation_id, accepted.message_id)
            yield

        submitted = await submit(self.recording.user_id, command, join=note_sent, direction=Direction.SPOKEN)
        accepted, position = submitted.accepted, submitted.position
        for job in submitted.under_way:
            self._under_way.add(job)
            job.add_done_callback(self._under_way.discard)
        if is_first:
            frame = recording_frame(
                "message.accepted",
                self.recording.id,
                conversation_id=str(accepted.conversation_id),
                message_id=str(accepted.message_id),
                run_id=str(accepted.run_id),
                duplicate=accepted.duplicate,
                position=position,
            )
            await recordings.notify_user(
                self.recording,
                "sent",
                conversation_id=str(accepted.conversation_id),
                epoch=position.epoch,
                seq=position.seq,
                frame=frame,
            )

    async def _return_unsent(self, why: str, error: ChatError | None = None) -> None:
        """Publishes what was not sent and `why`. The speaker may send it by hand, without what moderation withholds."""
        unsent, self._pending = self._pending, []
        text = await in_db(mask_spoken, " ".join(text for _, text in unsent), self.recording.user_id)
        refused = {"code": error.code, "case_id": str(error.case_id)} if isinstance(error, Moderated) else {}
        frame = recording_frame(
            "audio.unsent",
            self.recording.id,
            utterances=[n for n, _ in unsent],
            text=text,
            message=why,
            **refused,
        )
        try:
            await recordings.notify_user(self.recording, "notice", frame=frame, light=False)
        except (redis.RedisError, OSError) as error:
            logger.warning("notice_lost", kind="audio.unsent", error=type(error).__name__)
