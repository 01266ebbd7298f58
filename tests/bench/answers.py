"""What a client keeps of one answer, and what follows from it once the run is over."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.bench.stamps import TOKEN_LENGTH, read_tokens, since


class Answered(msgspec.Struct):
    """One answer as a client saw it. Times in µs of the monotonic clock, 0 = never."""

    tag: str = ""
    sent_us: int = 0
    accepted_us: int = 0
    started_us: int = 0
    first_us: int = 0
    ended_us: int = 0
    ending: str = ""
    code: str | None = None
    tokens: int = 0
    misplaced: int = 0
    damaged: int = 0
    gaps: int = 0
    crc: int = 0
    first_added_ms: float = 0.0
    frames: int = 0
    delta_frames: int = 0
    bytes: int = 0
    delta_bytes: int = 0
    merged: int = 0
    restarts: int = 0
    timing: dict[str, Any] | None = None
    added_us: list[int] = []
    arrivals: list[tuple[int, int]] = []  # (when, tokens of this frame), for rates


def read_answer(answer: Answered, pieces: Sequence[tuple[int, str]]) -> Answered:
    """The answer with what follows from its pieces (when, text): tokens, faults, the added latency of each token."""
    text = "".join(piece for _, piece in pieces)
    reading = read_tokens(text)
    answer.tokens = len(reading.sent_us)
    answer.misplaced, answer.damaged = reading.misplaced, reading.damaged
    answer.crc = zlib.crc32(text.encode())
    added, arrivals = [], []
    have = taken = 0
    if not reading.damaged:
        for at, piece in pieces:
            have += len(piece)
            whole = have // TOKEN_LENGTH
            added += [round(since(sent, at) * 1000) for sent in reading.sent_us[taken:whole]]
            arrivals.append((at, whole - taken))
            taken = whole
    answer.added_us, answer.arrivals = added, arrivals
    answer.first_added_ms = added[0] / 1000 if added else 0.0
    return answer
