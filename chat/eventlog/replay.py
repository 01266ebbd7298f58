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


class ReasoningDelta(msgspec.Struct, tag="run.reasoning", tag_field="type"):
    """A `run.reasoning` as it is in the log: a delta of what the model thinks in this step."""

    conversation_id: str
    run_id: str
    attempt: int
    step: int
    index: int
    text: str


AnyDelta = Delta | ReasoningDelta

_delta_decoder: Final[msgspec.json.Decoder[AnyDelta]] = msgspec.json.Decoder(AnyDelta)


def read_delta(body: bytes) -> AnyDelta:
    return _delta_decoder.decode(body)


class _Length(msgspec.Struct):
    length: int


class _Start(msgspec.Struct):
    """The fields of any run's event that say how much of the answer a client must have before it."""

    type: str
    run_id: str = ""
    index: int | None = None  # of a delta
    text_length: int | None = None  # of an ending
    reasoning: _Length | None = None  # likewise
    next_attempt: int | None = None
    kept: dict[str, int] | None = None  # what is left for it of the answer


_start_decoder: Final = msgspec.json.Decoder(_Start)


def lengths_before(body: bytes) -> tuple[str, dict[str, int | None]]:
    """(run id, code points of its `text` and `reasoning` that a client must have before this event).

    What is not named may have any length, also after the event; None is: any length, but for the last time.
    """
    event = _start_decoder.decode(body)
    if event.index is not None:
        return event.run_id, {"reasoning" if event.type == "run.reasoning" else "text": event.index}
    if event.text_length is None:
        return event.run_id, {}
    if event.next_attempt:  # the next attempt replaces what there is beyond this
        return event.run_id, {"text": None if event.kept else event.text_length, "reasoning": None}
    thought = event.reasoning.length if event.reasoning else 0
    return event.run_id, {"text": event.text_length, "reasoning": thought}


def extend(
    text: str, run_id: str, attempt: int, entries: Iterable[LogEntry], kind: type[AnyDelta] = Delta
) -> str | None:
    """`text` of a run with the logged deltas of this attempt written over it; None where they leave a gap.

    With `ReasoningDelta` as `kind`, `text` is the run's reasoning.
    """
    parts, length = [text], len(text)
    for entry in entries:
        if not entry.delta:
            continue
        delta = read_delta(entry.body)
        if (
            not isinstance(delta, kind)
            or delta.run_id != run_id
            or delta.attempt != attempt
            or delta.index + len(delta.text) <= length
        ):
            continue
        if delta.index > length:
            return None
        fresh = delta.text[length - delta.index :]
        parts.append(fresh)
        length += len(fresh)
    return "".join(parts)


def _stream_of(delta: AnyDelta) -> tuple[str, int, int | None]:
    """What a delta is a part of: the run, the attempt, and the step of its reasoning."""
    return delta.run_id, delta.attempt, delta.step if isinstance(delta, ReasoningDelta) else None


def merge(entries: Iterable[LogEntry]) -> Iterator[tuple[int, bytes]]:
    """(seq, body) of the frames that bring a client up to date: runs of deltas of one text become one frame.

    A merged frame has the `seq` of the last delta and the `index` of the first (protocol §3).
    """
    texts: list[str] = []
    first: AnyDelta | None = None
    newest: LogEntry | None = None  # the newest entry in `texts`
    length = size = 0

    def flush() -> Iterator[tuple[int, bytes]]:
        nonlocal first, newest, length, size
        if newest is not None and first is not None:
            if len(texts) == 1:
                yield newest.seq, newest.body
            else:
                yield newest.seq, encode_event(msgspec.to_builtins(first) | {"text": "".join(texts)})
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
            and _stream_of(delta) == _stream_of(first)
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
