"""Speech from the server on one connection: sentences go to workers, their audio comes back and goes to the client.

One answer is spoken at a time, and one user hears `OF_A_USER` at once on all connections, because workers speak the
sentences of all people in turn. Sentences are asked of workers a little ahead and sent in order. What was sent but not
yet played is bounded, so a client that falls silent gets nothing more, and whoever interrupts has little to discard.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import redis
import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from accounts import features
from accounts.lib.db import in_db
from accounts.lib.ids import uuid7
from accounts.lib.outage import OUTAGE
from chat.jobs.dispatch import BrokerAway
from chat.protocol.errors import Busy, ChatError, Invalid, NotFound, SpeechUnavailable
from chat.protocol.frames import encode
from chat.protocol.speaking import (
    MAX_SENTENCE,
    MAX_WAITING,
    SPEECH_AHEAD_MS,
    SPEECH_BYTES_PER_MS,
    SPEECH_RATE,
    SpeechPlayed,
    SpeechSay,
    SpeechStart,
    SpeechStop,
    speech_frame,
)
from chat.realtime import rate_limits
from chat.realtime.connection import Connection, Handlers, Reply
from chat.realtime.speech import Speech
from chat.voice import speeches
from chat.voice.speeches import Sentence

AHEAD: Final = 2  # sentences that workers speak at once: the one that is sent and the next
SILENT_SECONDS: Final = 15.0  # without audio of a sentence that was asked for
OF_A_USER: Final = 3  # answers that are spoken at once

logger = structlog.get_logger(__name__)

Fail = Callable[[ChatError, str | None], None]


class Speaking:
    """Speaks one answer at a time."""

    def __init__(self, connection: Connection, *, reply: Reply, fail: Fail) -> None:
        self._connection = connection
        self._reply = reply
        self._fail = fail
        self._speech: Speech | None = None
        self._streams = 0

    # --- commands -----------------------------------------------------------------------------------------------

    async def start(self, command: SpeechStart) -> None:
        if not await in_db(features.speech_is_on):
            raise SpeechUnavailable(_("Reading aloud by the server is turned off on this server."))
        if command.voice is not None and command.voice not in settings.SPEECH_VOICES:
            raise Invalid(_("This server does not have that voice."))
        user_id = self._connection.user_id
        await in_db(speeches.check_may_hear, user_id, command.message_id)
        await in_db(speeches.check_seconds_left, user_id)
        await self.stop_speech()
        self._streams = (self._streams + 1) % 65536
        voice = command.voice or settings.SPEECH_VOICES[0]
        speech = self._speech = Speech(
            uuid7(), self._streams, command.message_id, voice, command.speed, command.language or ""
        )
        self._reply(
            {
                "type": "tts.started",
                "speech_id": str(speech.id),
                "stream": speech.stream,
                "encoding": "pcm_s16le",
                "sample_rate": SPEECH_RATE,
                "voice": voice,
                "limits": {"sentence_chars": MAX_SENTENCE, "waiting": MAX_WAITING, "ahead_ms": SPEECH_AHEAD_MS},
            },
            command.ref,
        )
        self._connection.spawn(self._send_all(speech))

    async def say(self, command: SpeechSay) -> None:
        """Queues a sentence. Whether it may be spoken is checked here and again just before it is sent."""
        speech = self._current(command.speech_id)
        if command.number < speech.sending or command.number in speech.texts:
            raise Invalid(_("This sentence was sent before."))
        if len(speech.texts) >= MAX_WAITING or command.number >= speech.sending + MAX_WAITING:
            raise Busy(_("Too many sentences are waiting to be spoken."))
        await in_db(speeches.check_sentence, self._connection.user_id, speech.message_id, command.text)
        speech.texts[command.number] = command.text
        speech.wake.set()
        self._reply({"type": "ok"}, command.ref)

    async def note_played(self, command: SpeechPlayed) -> None:
        """Has no answer. News of a speech that is over is no error: it was on its way."""
        speech = self._speech
        if speech is not None and speech.id == command.speech_id:
            speech.played = max(speech.played, (command.number, command.ms))
            self._connection.last_used = time.monotonic()
            speech.wake.set()

    async def stop(self, command: SpeechStop) -> None:
        self._current(command.speech_id)
        await self.stop_speech()
        self._reply({"type": "ok"}, command.ref)

    def _current(self, speech_id: uuid.UUID) -> Speech:
        speech = self._speech
        if speech is None or speech.id != speech_id:
            raise NotFound(_("That answer is not being spoken on this connection."))
        return speech

    async def stop_speech(self, reason: str = "stopped") -> None:
        """Sends nothing more of the speech in progress, if there is one, and stops the workers that speak it."""
        speech, self._speech = self._speech, None
        if speech is None or speech.closed:
            return
        speech.closed = True
        speech.wake.set()
        if self._connection.closed is None:
            frame = {
                "type": "tts.closed",
                "speech_id": str(speech.id),
                "reason": reason,
                "sent_ms": round(speech.total_ms),
                "played_ms": round(speech.played_ms),
            }
            self._connection.put(encode(frame))
        await self._uncount(speech)
        try:
            await speeches.drop(speech.id, sorted(speech.asked))
        except (redis.RedisError, OSError) as error:
            logger.warning("speech_not_dropped", error=type(error).__name__, note="it expires")

    # --- audio --------------------------------------------------------------------------------------------------

    async def _send_all(self, speech: Speech) -> None:
        """Sends sentence after sentence until the speech is stopped or fails."""
        try:
            while not speech.closed:
                if speech.sending not in speech.texts:
                    await self._uncount(speech)
                    await self._wait(speech)
                    continue
                await self._count(speech)
                await self._ask(speech)
                await self._send(speech)
        except ChatError as error:
            await self._end(speech, error)
        except (*OUTAGE, BrokerAway) as error:
            logger.warning("speech_failed", speech=str(speech.id), error=type(error).__name__)
            await self._end(speech, SpeechUnavailable())

    async def _count(self, speech: Speech) -> None:
        """Raises `Busy` if its user listens to as many as they may."""
        if speech.counted:
            return
        limited = [(f"speeches:user:{self._connection.user_id.hex}", OF_A_USER)]
        if not await rate_limits.connection_counts().enter_limited(f"speech:{speech.id.hex}", limited):
            raise Busy(_("You are already listening to several answers. Stop one of them first."))
        speech.counted = True
        if speech.closed:  # meanwhile
            await self._uncount(speech)

    @staticmethod
    async def _uncount(speech: Speech) -> None:
        if speech.counted:
            speech.counted = False
            await rate_limits.connection_counts().forget(f"speech:{speech.id.hex}")

    async def _end(self, speech: Speech, error: ChatError) -> None:
        if not speech.closed:
            self._fail(error, None)
            await self.stop_speech("quota_exceeded" if error.code == "quota_exceeded" else "failed")

    @staticmethod
    async def _wait(speech: Speech) -> None:
        await speech.wake.wait()
        speech.wake.clear()

    async def _ask(self, speech: Speech) -> None:
        """Asks workers for the next sentences that are not asked for yet. Raises what refuses one of them."""
        for number in range(speech.sending, speech.sending + AHEAD):
            text = speech.texts.get(number)
            if text is None or speech.closed:
                return
            if number in speech.asked:
                continue
            await self._request(speech, number, number)

    async def _request(self, speech: Speech, number: int, place: int) -> None:
        """Asks for one sentence. Raises what refuses it."""
        text, user_id = speech.texts[number], self._connection.user_id
        spoken = await in_db(speeches.check_sentence, user_id, speech.message_id, text)
        speech.asked.add(place)
        sentence = Sentence(text, user_id, spoken.conversation_id, speech.voice, speech.speed, speech.language)
        await speeches.request(speech.id, place, sentence)

    async def _send(self, speech: Speech) -> None:
        """Sends the audio of one sentence as it comes, as far ahead of what is played as is allowed."""
        number, place, at = speech.sending, speech.sending, "0"
        await in_db(speeches.check_may_hear, self._connection.user_id, speech.message_id)
        speech.sent_ms[number] = 0.0
        heard, begun, skipped = time.monotonic(), False, 0
        while not speech.closed:
            await self._ask(speech)  # what came meanwhile is spoken while this is sent
            entries = await speeches.read(speech.id, place, at, block_ms=500)
            now = time.monotonic()
            if entries:
                heard = now
            elif now - heard > SILENT_SECONDS:
                logger.warning("speech_silent", speech=str(speech.id), number=number)
                raise SpeechUnavailable
            elif begun and place == number and not await speeches.is_claimed(speech.id, place):
                logger.warning("speech_worker_lost", speech=str(speech.id), number=number)
                place, at, skipped = place + speeches.AGAIN, "0", speech.sent_bytes(number)
                await self._request(speech, number, place)
            for at, piece in entries:  # noqa: B007 -- read on from the last
                begun = begun or piece.begun
                if piece.code:
                    raise SpeechUnavailable(piece.message)
                if piece.pcm:
                    skip = min(skipped, len(piece.pcm))  # was sent before the worker died
                    skipped -= skip
                    await self._put(speech, number, piece.pcm[skip:])
                elif piece.ended:
                    await self._finish(speech, number)
                    return

    async def _put(self, speech: Speech, number: int, pcm: bytes) -> None:
        if not pcm:
            return
        while speech.total_ms - speech.played_ms > SPEECH_AHEAD_MS and not speech.closed:
            await self._wait(speech)
        if not speech.closed:
            self._connection.put_bytes(speech_frame(speech.stream, speech.frames, pcm))
            speech.frames += 1
            speech.sent_ms[number] += len(pcm) / SPEECH_BYTES_PER_MS

    async def _finish(self, speech: Speech, number: int) -> None:
        """All of a sentence is sent: an empty frame ends it, and the next one follows."""
        if speech.closed:
            return
        self._connection.put_bytes(speech_frame(speech.stream, speech.frames, b"", ends_sentence=True))
        speech.frames += 1
        frame: dict[str, Any] = {
            "type": "tts.sentence",
            "speech_id": str(speech.id),
            "number": number,
            "ms": round(speech.sent_ms[number]),
        }
        self._connection.put(encode(frame))
        places = {number, number + speeches.AGAIN} & speech.asked
        speech.asked -= places
        del speech.texts[number]
        speech.sending += 1
        await speeches.drop(speech.id, sorted(places))


HANDLERS: Final[Handlers[Speaking]] = {
    SpeechStart: Speaking.start,
    SpeechSay: Speaking.say,
    SpeechPlayed: Speaking.note_played,
    SpeechStop: Speaking.stop,
}
