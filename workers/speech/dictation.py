"""Finals that become messages by themselves: the ordinary turn, one at a time.

What is said while an answer is being written waits for its end, and is sent as one message.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Final

import redis
import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.eventlog import store
from chat.protocol.commands import MessageSend, Position
from chat.protocol.errors import Busy, ChatError
from chat.turns import submit
from chat.voice import recordings
from chat.voice.recordings import Claimed, notice

RETRY_SECONDS: Final = 0.25
PATIENCE_SECONDS: Final = 120.0  # an answer may take so long before what was said is given back to the speaker
FINISH_SECONDS: Final = 30.0

logger = structlog.get_logger(__name__)


class Dictation:
    """The messages of one recording. `conversation_id` is known from the first of them on, if not before."""

    def __init__(self, recording: Claimed) -> None:
        self.recording = recording
        self.conversation_id = recording.conversation_id
        self._said: list[tuple[int, str]] = []
        self._sender: asyncio.Task[None] | None = None

    def say(self, utterance: int, text: str) -> None:
        self._said.append((utterance, text))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def finish(self) -> None:
        """Waits until all that was said is sent, or cannot be."""
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=FINISH_SECONDS)
            if not self._sender.done():
                self._sender.cancel()
                await self._give_back("An answer was still being written, so this was not sent.")

    async def _send(self) -> None:
        waited = 0.0
        while self._said:
            try:
                await self._turn()
                waited = 0.0
            except ChatError as error:
                if not isinstance(error, Busy) or waited > PATIENCE_SECONDS:
                    await self._give_back(error.message)
                    return
                waited += RETRY_SECONDS
                await asyncio.sleep(RETRY_SECONDS)
            except OUTAGE as error:
                logger.warning("dictation_waits", error=type(error).__name__)
                if waited > PATIENCE_SECONDS:
                    return
                waited += 1
                await asyncio.sleep(1)

    async def _turn(self) -> None:
        """Sends what was said until now. The same utterances make the same message, however often it is tried."""
        said = list(self._said)
        numbers = [number for number, _ in said]
        command = MessageSend(
            conversation_id=self.conversation_id,
            client_id=uuid.uuid5(self.recording.id, f"{numbers[0]}-{numbers[-1]}"),
            text=" ".join(text for _, text in said),
        )
        accepted = await submit.submit(self.recording.user_id, command)
        del self._said[: len(said)]
        begun = self.conversation_id is None
        self.conversation_id = accepted.conversation_id
        await in_db(recordings.note_sent, self.recording.id, numbers, accepted.conversation_id, accepted.message_id)
        appended = await submit.announce(accepted)
        if appended is not None and not appended.skipped:
            position = Position(appended.epoch, appended.seq - len(accepted.announcement))
        else:
            position = await store.before_message(accepted.conversation_id, accepted.message_id)
        if begun:
            frame = notice(
                "message.accepted",
                self.recording.id,
                conversation_id=str(accepted.conversation_id),
                message_id=str(accepted.message_id),
                run_id=str(accepted.run_id),
                duplicate=accepted.duplicate,
                position=position,
            )
            await recordings.tell(
                self.recording,
                "sent",
                conversation_id=str(accepted.conversation_id),
                epoch=position.epoch,
                seq=position.seq,
                frame=frame,
            )

    async def _give_back(self, why: str) -> None:
        """It stays a transcript, which the speaker may send by hand."""
        said, self._said = self._said, []
        frame = notice(
            "audio.unsent",
            self.recording.id,
            utterances=[n for n, _ in said],
            text=" ".join(t for _, t in said),
            message=why,
        )
        try:
            await recordings.tell(self.recording, "notice", frame=frame, light=False)
        except (redis.RedisError, OSError) as error:
            logger.warning("notice_lost", kind="audio.unsent", error=type(error).__name__)
