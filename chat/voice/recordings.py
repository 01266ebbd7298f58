"""Recordings: their rows, the limit of recordings in progress, and the audio stream from a socket to a worker.

    recording:<id>         stream  o = offset in bytes, d = PCM16; or c = flush, stop, cancel. The last 5 s
    recording:<id>:lease   string  the worker that listens; gone when it is
    recordings:all, recordings:<user>   sorted sets of the recordings in progress, by when their claim runs out (ms of
                           Redis's clock, as processes may disagree about the time)

Audio does not go through the channel layer, which is made for many small messages to many. Where a plan keeps it, the
worker that listens does (`chat.voice.audio_files`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.auth.revocation import user_group
from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from accounts.quotas.reservations import QuotaFull, audio_granted, reserve_audio
from accounts.quotas.settlement import Used, settle_recording
from chat.conversations.membership import check_may_write, member_of
from chat.eventlog import store
from chat.eventlog.payloads import person_dict
from chat.jobs.dispatch import enqueue_transcription
from chat.models import Recording, RecordingStatus, Utterance
from chat.protocol.audio_frames import BYTES_PER_MS, FRAME_MS
from chat.protocol.commands import AudioStart
from chat.protocol.errors import Busy, Conflict, QuotaExceeded
from chat.protocol.frames import encode
from chat.voice.audio_files import days_kept
from chat.voice.intake import BUFFER_MS, AudioChunk

CLAIM_MS: Final = 20_000  # an unopened or unrenewed recording counts no longer after
LEASE_MS: Final = 6_000
RENEW_SECONDS: Final = 2.0
STREAM_TTL_MS: Final = 60_000
CLOSING_TRIES: Final = 4
CLOSING_SECONDS: Final = 0.2
SPARE_ENTRIES: Final = 8  # room for commands among 5 s of audio

_ADMIT: Final = """
local clock = redis.call('TIME')
local now, id = clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[2]
for k = 1, 2 do
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', now)
  if redis.call('ZCARD', KEYS[k]) >= tonumber(ARGV[2 + k]) then return k end
end
if KEYS[3] then  -- the ids of this address; those that no longer count in all are over
  local held = 0
  for _, other in ipairs(redis.call('SMEMBERS', KEYS[3])) do
    if redis.call('ZSCORE', KEYS[2], other) then held = held + 1 else redis.call('SREM', KEYS[3], other) end
  end
  if held >= tonumber(ARGV[5]) then return 3 end
  redis.call('SADD', KEYS[3], id)
  redis.call('PEXPIRE', KEYS[3], 3600000)
end
for k = 1, 2 do
  redis.call('ZADD', KEYS[k], now + tonumber(ARGV[1]), id)
  redis.call('PEXPIRE', KEYS[k], 3600000)
end
return 0
"""

_RENEW: Final = """
local clock = redis.call('TIME')
local until_ms = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[3])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[1], 'XX', until_ms, ARGV[4])  -- of a recording that was stopped, the speaker's place is free
redis.call('ZADD', KEYS[2], until_ms, ARGV[4])
"""


@dataclass(frozen=True, slots=True)
class ClaimedRecording:
    """A recording that a worker has claimed."""

    id: uuid.UUID
    user_id: uuid.UUID
    conversation_id: uuid.UUID | None
    language: str
    mode: str
    auto_send: bool
    seconds: Decimal | None = None  # that quotas allow; None: no limit by quotas
    days_kept: int = 0  # that its audio is stored; 0: not at all
    speaker: dict[str, str] = field(default_factory=dict)  # `id` and `name`, as other people see them


def stream_key(recording_id: uuid.UUID) -> str:
    return f"recording:{recording_id.hex}"


def lease_key(recording_id: uuid.UUID) -> str:
    return f"recording:{recording_id.hex}:lease"


def _sets(user_id: uuid.UUID) -> tuple[str, str]:
    return f"recordings:{user_id.hex}", "recordings:all"


MANY: Final = 1_000_000  # RECORDINGS_PER_USER=off


# --- the web's side ---------------------------------------------------------------------------------------------------


async def begin(user_id: uuid.UUID, command: AudioStart, address: str = "") -> uuid.UUID:
    """A new recording, on its way to a worker. Raises `ChatError`s; `Busy` when too many are in progress.

    `address` is the client's network, which may have RECORDINGS_PER_ADDRESS at once; empty means no limit.
    """
    recording_id = await in_db(_insert, user_id, command)
    refused = await _admit(user_id, recording_id, address)
    for _try in range(CLOSING_TRIES):
        if refused != 1:
            break
        await asyncio.sleep(CLOSING_SECONDS)  # a tab that was just closed is about to free the microphone
        refused = await _admit(user_id, recording_id, address)
    if refused:
        await in_db(finish, recording_id, RecordingStatus.FAILED, reason="busy")
        if refused == 1:
            raise Busy(_("You are already recording on another device or tab. Stop that recording first."))
        raise Busy(_("Too many recordings are in progress. Try again in a moment."), retry_after=10)
    try:
        await asyncio.to_thread(enqueue_transcription, recording_id)
    except BaseException:
        await release(user_id, recording_id)
        raise
    return recording_id


async def _admit(user_id: uuid.UUID, recording_id: uuid.UUID, address: str) -> int:
    """0, or which limit is reached: 1 the user's, 2 the server's, 3 the address's."""
    refused: int = await async_redis().register_script(_ADMIT)(
        keys=[*_sets(user_id), *([f"recordings:address:{address}"] if address else [])],
        args=[
            CLAIM_MS,
            recording_id.hex,
            settings.RECORDINGS_PER_USER or MANY,
            settings.RECORDINGS_AT_ONCE,
            settings.RECORDINGS_PER_ADDRESS or MANY,
        ],
    )
    return refused


def _insert(user_id: uuid.UUID, command: AudioStart) -> uuid.UUID:
    if command.conversation_id is not None:
        member_of(user_id, command.conversation_id, write=True)
    check_may_write(user_id)
    try:
        with transaction.atomic():
            row = Recording.objects.create(
                user_id=user_id,
                conversation_id=command.conversation_id,
                client_id=command.client_id,
                language=command.language or settings.ASR_LANGUAGE,
                mode=command.mode,
                auto_send=command.auto_send,
                created_at=Now(),
            )
            reserve_audio(user_id, row.pk, settings.RECORDING_SECONDS)
    except IntegrityError:
        raise Conflict(_("This recording has already been started.")) from None
    except QuotaFull as error:
        raise QuotaExceeded(str(error), retry_after=error.retry_after) from None
    return row.pk


async def send(recording_id: uuid.UUID, entries: Sequence[AudioChunk]) -> bool:
    """Appends to the recording's stream, which keeps 5 s. Whether a worker listens. Raises `redis.RedisError`."""
    pipe = async_redis().pipeline(transaction=False)
    key = stream_key(recording_id)
    for entry in entries:
        fields: dict[Any, Any] = {"c": entry.command} if entry.command else {"d": entry.pcm}
        frame_ms = len(entry.pcm) // BYTES_PER_MS or FRAME_MS
        pipe.xadd(key, {"o": entry.offset, **fields}, maxlen=BUFFER_MS // frame_ms + SPARE_ENTRIES, approximate=False)
    pipe.pexpire(key, STREAM_TTL_MS)
    pipe.exists(lease_key(recording_id))
    return bool((await pipe.execute())[-1])


async def free_microphone(user_id: uuid.UUID, recording_id: uuid.UUID) -> bool:
    """The user may begin another recording, though a worker still transcribes what was said in this one. Whether it
    held the microphone until now. Raises `redis.RedisError`.
    """
    return bool(await async_redis().zrem(_sets(user_id)[0], recording_id.hex))


async def release(user_id: uuid.UUID, recording_id: uuid.UUID) -> None:
    """Frees the recording's place among those in progress, and deletes its stream."""
    pipe = async_redis().pipeline(transaction=False)
    for key in _sets(user_id):
        pipe.zrem(key, recording_id.hex)
    pipe.delete(stream_key(recording_id), lease_key(recording_id))
    await pipe.execute()


# --- the worker's side ------------------------------------------------------------------------------------------------


def claim(recording_id: uuid.UUID) -> ClaimedRecording | None:
    """Claims a recording for this worker; None when it is claimed, over, or unknown."""
    if not Recording.objects.filter(pk=recording_id, status=RecordingStatus.STARTING).update(
        status=RecordingStatus.LISTENING
    ):
        return None
    row = Recording.objects.select_related("user").get(pk=recording_id)
    assert row.user is not None
    granted = audio_granted(row.pk)
    return ClaimedRecording(
        row.pk, row.user.pk, row.conversation_id, row.language, row.mode, row.auto_send, granted,
        days_kept(row.user.pk), person_dict(row.user),
    )  # fmt: skip


async def renew(recording: ClaimedRecording, owner: str) -> None:
    """Renews the worker's lease. To be called every `RENEW_SECONDS`."""
    await async_redis().register_script(_RENEW)(
        keys=[*_sets(recording.user_id), lease_key(recording.id)],
        args=[owner, LEASE_MS, CLAIM_MS, recording.id.hex],
    )


async def read(recording_id: uuid.UUID, after: str, *, block_ms: int = 1000) -> list[tuple[str, AudioChunk]]:
    """What came after an entry, waiting for it `block_ms` at the most. Raises `redis.RedisError`."""
    reply = cast(
        "list[Any] | None",
        await async_redis().xread({stream_key(recording_id): after}, count=64, block=block_ms),
    )
    found = []
    for entry_id, fields in reply[0][1] if reply else []:
        entry = AudioChunk(int(fields[b"o"]), fields.get(b"d", b""), fields.get(b"c", b"").decode())
        found.append((entry_id.decode(), entry))
    return found


def keep_utterance(
    recording_id: uuid.UUID, number: int, text: str, start_ms: int, end_ms: int, confidence: float | None
) -> None:
    Utterance.objects.create(
        recording_id=recording_id, number=number, text=text, start_ms=start_ms, end_ms=end_ms, confidence=confidence
    )


def note_sent(
    recording_id: uuid.UUID, numbers: Sequence[int], conversation_id: uuid.UUID, message_id: uuid.UUID
) -> None:
    """These utterances became a message; a recording without a conversation is in that message's from now on."""
    Utterance.objects.filter(recording_id=recording_id, number__in=numbers).update(message_id=message_id)
    Recording.objects.filter(pk=recording_id, conversation=None).update(conversation_id=conversation_id)


def finish(
    recording_id: uuid.UUID,
    status: RecordingStatus,
    *,
    reason: str,
    audio_ms: int = 0,
    backend: str = "",
    estimated: bool = False,
) -> bool:
    """Closes a recording's row, once, puts what was heard into the usage ledger, and frees what was reserved."""
    with transaction.atomic():
        ended = Recording.objects.filter(pk=recording_id, finished_at=None).update(
            status=status, reason=reason, audio_ms=audio_ms, backend=backend, finished_at=Now()
        )
        if ended:
            row = Recording.objects.only("user_id", "conversation_id", "created_at").get(pk=recording_id)
            seconds = Decimal(audio_ms) / 1000
            used = Used(backend or "speech", audio_seconds=seconds, estimated=estimated) if audio_ms else None
            settle_recording(row.user_id, recording_id, row.created_at, used, conversation_id=row.conversation_id)
    return bool(ended)


async def notify_user(recording: ClaimedRecording, kind: str, **fields: Any) -> None:
    """Notifies the user's sockets with the kind `recording.<kind>`; see `chat.realtime.microphone`."""
    message = {"type": f"recording.{kind}", "recording": recording.id.hex, **fields}
    await store.channel_layer().group_send(user_group(recording.user_id), message)


def recording_frame(kind: str, recording_id: uuid.UUID, **fields: Any) -> str:
    """A frame of the protocol about a recording, as text."""
    return encode({"type": kind, "recording_id": str(recording_id), **fields})
