"""The event log of a conversation: recent events in a Redis Stream, each with a contiguous `seq` within one `epoch`.

    log:<id>:meta    hash    e = epoch, i = run id of the Redis process it began in, s = last seq,
                             t = last seq of an event that is not a delta,
                             r:<run> = "<attempt>:<number>", the last append of that run
    log:<id>         stream  id "<seq>-0", field m = the channel-layer message

PostgreSQL holds the durable state; the log is a cache that may be lost at any time. It then begins again under a new
epoch, which tells every reader that its position is invalid (as in Centrifugo's stream broker, docs/architecture.md).
It also begins again when a run goes on whose earlier events it does not have: a snapshot taken before then lacks text.
The log also begins again in another Redis process: a promoted replica, or a server that has loaded its file, may lack
the last events and would give their numbers to others.

One script appends to any number of conversations and publishes to their groups, in one round trip. An append is
idempotent on (run, attempt, number): repeated after a lost reply, it is skipped. From an earlier attempt, or from one
that was closed, it is refused: its writer is fenced.
"""

from __future__ import annotations

import functools
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import redis
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer

from accounts.lib.redis import Script
from chat.eventlog.replay import LogEntry
from chat.eventlog.scripts import APPEND, POSITION, READ
from chat.protocol.commands import Position

if TYPE_CHECKING:
    from chat.channel_layer import StreamingChannelLayer

MAX_EVENTS: Final = 4_000  # about so many of one conversation; older ones are only in PostgreSQL
STREAM_TTL_MS: Final = 60 * 60 * 1000
META_TTL_MS: Final = 24 * STREAM_TTL_MS  # outlives the stream, so that an idle reader keeps its position


@dataclass(frozen=True, slots=True)
class Append:
    """Events of one conversation to append together.

    `events` are encoded without `seq` (`chat.protocol.frames.encode_event`), each with whether it is a delta.
    `run`, `attempt` and `number` (counting up from 1 within an attempt) make it idempotent; without a run it is not.
    `anew` begins the log again with these events, because it lacks events before them; every reader takes a snapshot.
    """

    conversation_id: uuid.UUID
    events: Sequence[tuple[bytes, bool]]
    run_id: uuid.UUID | None = None
    attempt: int = 0
    number: int = 0
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an append left the log. If one of the three flags is set, nothing was written."""

    epoch: str
    seq: int
    skipped: bool = False  # it had been made before
    fenced: bool = False  # a later attempt has written, or this one was fenced or closed: the writer must stop
    unannounced: bool = False  # the first append of a run whose message the log does not have: announce it before


@dataclass(frozen=True, slots=True)
class Replay:
    """The events after a position. `entries` is None if the log does not have all of them: take a snapshot."""

    position: Position
    entries: list[LogEntry] | None


def group_name(conversation_id: uuid.UUID) -> str:
    return f"conversation.{conversation_id.hex}"


def meta_key(conversation_id: uuid.UUID) -> str:
    return f"log:{conversation_id.hex}:meta"


def stream_key(conversation_id: uuid.UUID) -> str:
    return f"log:{conversation_id.hex}"


def channel_layer() -> StreamingChannelLayer:
    return cast("StreamingChannelLayer", get_channel_layer())


def new_epoch() -> str:
    """What the scripts make a new epoch of, together with the server and its time."""
    return secrets.token_hex(8)


async def _run(group: str, script: Script, keys: list[str], args: list[Any]) -> Any:
    """Runs a script by its digest on the server of `group`, in the channel layer's own pipeline, which costs a fraction
    of a call of redis-py's client. Sends the whole script if Redis does not have it.
    """
    execute = functools.partial(channel_layer().group_execute, group)
    return await script.run_with(execute, len(keys), *keys, *args)


async def append(*appends: Append) -> list[Appended]:
    """Appends and publishes, in one round trip for each Redis involved. After a `redis.RedisError` the outcome is
    unknown, and the same appends may be repeated.
    """
    layer = channel_layer()
    by_server: dict[Any, list[int]] = {}
    for place, one in enumerate(appends):
        by_server.setdefault(layer.group_connection(group_name(one.conversation_id)), []).append(place)
    results: list[Appended | None] = [None] * len(appends)
    for places in by_server.values():
        keys: list[str] = []
        args: list[Any] = [new_epoch(), STREAM_TTL_MS, META_TTL_MS, MAX_EVENTS]
        for place in places:
            one = appends[place]
            keys += (meta_key(one.conversation_id), stream_key(one.conversation_id))
            args += (
                one.run_id.hex if one.run_id else "",
                one.attempt,
                one.number,
                layer.group_address(group_name(one.conversation_id)),
                2 if one.anew else int(not all(delta for _, delta in one.events)),
                len(one.events),
            )
            conversation = one.conversation_id.bytes
            args += [
                layer.serialize(
                    {"type": "log.event", "c": conversation, "d": delta, "b": body}
                    if delta
                    else {"type": "log.event", "c": conversation, "d": delta, "b": body, "t": time.time()}
                )
                for body, delta in one.events
            ]
        reply = await _run(group_name(appends[places[0]].conversation_id), APPEND, keys, args)
        for index, place in enumerate(places):
            status, epoch, seq = reply[3 * index : 3 * index + 3]
            results[place] = Appended(epoch.decode(), seq, status == 0, status == -1, status == -2)
    return cast("list[Appended]", results)


async def position(conversation_id: uuid.UUID) -> tuple[Position, int]:
    """The log's end, and the `seq` of its last event that is not a delta. Begins a log if there is none."""
    keys = [meta_key(conversation_id), stream_key(conversation_id)]
    epoch, seq, state = await _run(group_name(conversation_id), POSITION, keys, [new_epoch(), META_TTL_MS])
    return Position(epoch.decode(), seq), state


async def read(conversation_id: uuid.UUID, after: Position, *, limit: int = 1_000) -> Replay:
    """Up to `limit` contiguous events after a position, and the log's end. Never only some of them."""
    keys = [meta_key(conversation_id), stream_key(conversation_id)]
    try:
        args = [new_epoch(), META_TTL_MS, after.seq + 1, limit]
        epoch, last, raw = await _run(group_name(conversation_id), READ, keys, args)
    except ChannelFull as error:
        raise redis.ConnectionError(str(error)) from error
    here = Position(epoch.decode(), last)
    if here.epoch != after.epoch or after.seq > here.seq:
        return Replay(here, None)
    entries = _entries(channel_layer(), raw)
    wanted = min(limit, here.seq - after.seq)
    if len(entries) != wanted or (entries and entries[0].seq != after.seq + 1):
        return Replay(here, None)
    return Replay(here, entries)


async def entries(conversation_id: uuid.UUID, *, after: int, until: int) -> list[LogEntry]:
    """The events with after < seq <= until that are still in the log."""
    if until <= after:
        return []
    layer = channel_layer()
    server = layer.group_connection(group_name(conversation_id))
    raw: Any = await server.xrange(stream_key(conversation_id), min=f"{after + 1}-0", max=f"{until}-0")
    return _entries(layer, raw)


async def before_message(conversation_id: uuid.UUID, message_id: uuid.UUID) -> Position:
    """The position just before a message was announced. If it is not in the log, one that leads to a snapshot."""
    here, _ = await position(conversation_id)
    wanted = f'"message":{{"id":"{message_id}"'.encode()
    for entry in await entries(conversation_id, after=0, until=here.seq):  # each run that answers it may announce it
        if not entry.delta and wanted in entry.body and b'"type":"message.created"' in entry.body[:32]:
            return Position(here.epoch, entry.seq - 1)
    return Position("", 0)


async def before_run(conversation_id: uuid.UUID, run_id: uuid.UUID) -> Position:
    """The position just before a run was announced. If it is not in the log, one that leads to a snapshot."""
    here, _ = await position(conversation_id)
    wanted = f'"run_id":"{run_id}"'.encode()
    for entry in await entries(conversation_id, after=0, until=here.seq):
        if wanted in entry.body:
            return Position(here.epoch, entry.seq - 1)
    return Position("", 0)


def _entries(layer: StreamingChannelLayer, raw: list[Any]) -> list[LogEntry]:
    found = []
    for entry_id, fields in raw:
        message = layer.deserialize(fields[b"m"] if isinstance(fields, dict) else fields[1])
        found.append(LogEntry(int(entry_id.partition(b"-")[0]), message["b"], message["d"]))
    return found
