"""Answers that the server speaks: who may hear them, and the way of the audio from a worker to a socket.

    speech:<id>:<place>         stream  first j = what to say (JSON), w when a worker begins, then d = PCM16 of 24 kHz,
                                then e = end (ms of audio), or f = code and m = message of a failure
    speech:<id>:<place>:claim   string  a worker speaks it; renewed, and gone when the worker is

The socket's side makes the stream and deletes it as soon as nobody listens any more; a worker that finds it gone stops
at once. Sentences are jobs of their own: any worker takes the next one. A sentence's place is its number; where its
worker died, it is asked for again at another place, so that a worker that was only frozen adds nothing to it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from accounts.lib.per_loop import PerLoop
from accounts.lib.redis import async_redis
from accounts.models import Unit, User
from accounts.quotas.balance import user_balances
from accounts.quotas.wording import used_up_message
from chat.conversations.membership import member_of
from chat.jobs.dispatch import enqueue_sentence
from chat.models import Message, MessageRole, Run
from chat.models.moderation import Direction
from chat.moderation.answers import screen_written
from chat.moderation.screening import WITHHELD
from chat.protocol.errors import Invalid, Moderated, NotFound, QuotaExceeded

STREAM_TTL_MS: Final = 120_000
CLAIM_MS: Final = 4_000
RENEW_SECONDS: Final = 1.0
AGAIN: Final = 1_000_000  # added to a sentence's number, the place of its second try
READING: Final = 30  # connections to Redis that wait for audio at once, of one event loop; all else uses the same pool

_reading: Final = PerLoop(lambda: asyncio.Semaphore(READING))


class Sentence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker is to say. `conversation_id`: where it is counted."""

    text: str
    user_id: uuid.UUID
    conversation_id: uuid.UUID
    voice: str = ""
    speed: float = 1.0
    language: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """What comes of a sentence: that a worker begins, audio, its end, or a failure (`code` and `message`)."""

    pcm: bytes = b""
    begun: bool = False
    ended: bool = False
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer that a user may hear."""

    message_id: uuid.UUID
    conversation_id: uuid.UUID
    model: str


def speech_key(speech_id: uuid.UUID, number: int) -> str:
    return f"speech:{speech_id.hex}:{number}"


# --- what may be spoken -----------------------------------------------------------------------------------------------


def check_may_hear(user_id: uuid.UUID, message_id: uuid.UUID) -> Spoken:
    """The answer, if this user may read it now. Raises `NotFound`, `Invalid` for what is no answer, and `Moderated` for
    one that is withheld.
    """
    row = (
        Message.objects.filter(pk=message_id).only("conversation_id", "role", "deleted_at", "moderation").first()
    )  # fmt: skip
    if row is None or row.deleted_at is not None:
        raise NotFound
    member_of(user_id, row.conversation_id)
    if row.role != MessageRole.ASSISTANT:
        raise Invalid
    if row.moderation.get("action") in WITHHELD:
        raise Moderated
    model = Run.objects.filter(message_id=message_id, latest=True).values_list("model", flat=True).first() or ""
    return Spoken(message_id, row.conversation_id, model)


def check_sentence(user_id: uuid.UUID, message_id: uuid.UUID, text: str) -> Spoken:
    """As `check_may_hear`, just before a sentence of it is spoken. Raises `QuotaExceeded` where no seconds of audio are
    left, and `Moderated` for a text that the rules for answers do not let through.
    """
    spoken = check_may_hear(user_id, message_id)
    check_seconds_left(user_id)
    if screen_written(text, user_id, spoken.model, Direction.ANSWERED) != text:
        raise Moderated
    return spoken


def check_seconds_left(user_id: uuid.UUID) -> None:
    """Raises `QuotaExceeded` if a quota of audio seconds is used up. Staff have none."""
    if User.objects.filter(pk=user_id, is_staff=True).exists():
        return
    for balance in user_balances(user_id):
        if balance.unit == Unit.AUDIO_SECONDS and balance.hard and balance.remaining <= 0:
            raise QuotaExceeded(used_up_message(balance), retry_after=balance.seconds_until_reset)


# --- the socket's side ------------------------------------------------------------------------------------------------


async def request(speech_id: uuid.UUID, number: int, sentence: Sentence) -> None:
    """Asks a worker for a sentence. Raises `redis.RedisError` or `BrokerAway`."""
    key = speech_key(speech_id, number)
    pipe = async_redis().pipeline(transaction=True)
    pipe.xadd(key, {"j": msgspec.json.encode(sentence)})
    pipe.pexpire(key, STREAM_TTL_MS)
    await pipe.execute()
    await enqueue_sentence(speech_id, number)


async def read(speech_id: uuid.UUID, number: int, after: str, *, block_ms: int = 1000) -> list[tuple[str, Piece]]:
    """What came of a sentence after an entry, waiting for it `block_ms` at the most. Raises `redis.RedisError`."""
    key = speech_key(speech_id, number)
    async with _reading():
        reply = cast("list[Any] | None", await async_redis().xread({key: after}, count=32, block=block_ms))
    found = []
    for entry_id, fields in reply[0][1] if reply else []:
        if b"j" in fields:
            continue
        piece = Piece(
            fields.get(b"d", b""),
            b"w" in fields,
            b"e" in fields,
            fields.get(b"f", b"").decode(),
            fields.get(b"m", b"").decode(),
        )
        found.append((entry_id.decode(), piece))
    return found


async def is_claimed(speech_id: uuid.UUID, place: int) -> bool:
    """Whether a worker speaks it at this moment. Raises `redis.RedisError`."""
    return bool(await async_redis().exists(f"{speech_key(speech_id, place)}:claim"))


async def drop(speech_id: uuid.UUID, numbers: Sequence[int]) -> None:
    """These sentences are wanted no more: whoever speaks one stops."""
    if numbers:
        await async_redis().delete(*(speech_key(speech_id, number) for number in numbers))


# --- the worker's side ------------------------------------------------------------------------------------------------


async def claim(speech_id: uuid.UUID, number: int, owner: str) -> Sentence | None:
    """The sentence, for this worker; None if another has it, or nobody wants it any more."""
    key = speech_key(speech_id, number)
    if not await async_redis().set(f"{key}:claim", owner, nx=True, px=CLAIM_MS):
        return None
    entries = cast("list[Any]", await async_redis().xrange(key, count=2))
    if not entries or len(entries) > 1:  # another worker had it, and died
        return None
    return msgspec.json.decode(entries[0][1][b"j"], type=Sentence) if await append(speech_id, number, w=1) else None


async def renew(speech_id: uuid.UUID, number: int) -> None:
    """To be called every RENEW_SECONDS by the worker that speaks the sentence. Raises `redis.RedisError`."""
    await async_redis().pexpire(f"{speech_key(speech_id, number)}:claim", CLAIM_MS)


async def append(speech_id: uuid.UUID, number: int, **fields: Any) -> bool:
    """Adds audio (`d`), the end (`e`) or a failure (`f`, `m`) to a sentence. Whether somebody still wants it."""
    added = await async_redis().xadd(speech_key(speech_id, number), cast("dict[Any, Any]", fields), nomkstream=True)
    return added is not None
