"""Reads log entries for replay and merges consecutive deltas into one frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from chat.protocol.frames import encode_event

FRAME_OVERHEAD: Final = 64  # bytes a frame costs in addition to its payload: our record of it, framing, buffers
MAX_MERGED_BYTES: Final = 48 * 1024  # of one merged delta's text


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event read back from the log; `body` is its JSON without `seq`."""

    seq: int
    body: bytes
    delta: bool


class Delta(msgspec.Struct, tag="run.delta", tag_field="type"):
    """A `run.delta` as it is in the log."""

    conversation_id: str
    run_id: str
    attempt: int
    index: int
    text: str


_delta_decoder: Final = msgspec.json.Decoder(Delta)


def read_delta(body: bytes) -> Delta:
    return _delta_decoder.decode(body)


class _Start(msgspec.Struct):
    """The fields of any run's event that say how much of the answer a client must have before it."""

    type: str
    run_id: str = ""
    index: int | None = None  # of a delta
    text_length: int | None = None  # of an ending


_start_decoder: Final = msgspec.json.Decoder(_Start)


def length_before(body: bytes) -> tuple[str, int | None]:
    """(run id, code points of its answer that a client must have before this event); None if any number will do."""
    event = _start_decoder.decode(body)
    return event.run_id, event.text_length if event.index is None else event.index


def extend(text: str, run_id: str, attempt: int, entries: Iterable[LogEntry]) -> str | None:
    """`text` of a run with the logged deltas of this attempt written over it; None where they leave a gap."""
    parts, length = [text], len(text)
    for entry in entries:
        if not entry.delta:
            continue
        delta = read_delta(entry.body)
        if delta.run_id != run_id or delta.attempt != attempt or delta.index + len(delta.text) <= length:
            continue
        if delta.index > length:
            return None
        fresh = delta.text[length - delta.index :]
        parts.append(fresh)
        length += len(fresh)
    return "".join(parts)


def merge(entries: Iterable[LogEntry]) -> Iterator[tuple[int, bytes]]:
    """(seq, body) of the frames that bring a client up to date: runs of deltas of one answer become one frame.

    A merged frame has the `seq` of the last delta and the `index` of the first (protocol §3).
    """
    texts: list[str] = []
    first: Delta | None = None
    newest: LogEntry | None = None  # the newest entry in `texts`
    length = size = 0

    def flush() -> Iterator[tuple[int, bytes]]:
        nonlocal first, newest, length, size
        if newest is not None and first is not None:
            if len(texts) == 1:
                yield newest.seq, newest.body
            else:
                event = {
                    "type": "run.delta",
                    "conversation_id": first.conversation_id,
                    "run_id": first.run_id,
                    "attempt": first.attempt,
                    "index": first.index,
                    "text": "".join(texts),
                }
                yield newest.seq, encode_event(event)
        texts.clear()
        first = newest = None
        length = size = 0

    for entry in entries:
        if not entry.delta:
            yield from flush()
            yield entry.seq, entry.body
            continue
        delta = read_delta(entry.body)
        joins = (
            first is not None
            and (delta.run_id, delta.attempt) == (first.run_id, first.attempt)
            and delta.index == first.index + length
            and size + len(entry.body) <= MAX_MERGED_BYTES
        )
        if not joins:
            yield from flush()
            first = delta
        texts.append(delta.text)
        length += len(delta.text)
        size += len(entry.body)
        newest = entry
    yield from flush()
