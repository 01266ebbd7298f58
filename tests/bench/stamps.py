"""Tokens that carry the time they were sent, so that added latency is known for each one however they are merged.

A token is six base-32 digits (microseconds of the monotonic clock, modulo 2**30: 18 minutes) and a space: seven
ASCII characters, about the size of a word of English. The monotonic clock is one for all processes of a machine.
Within one answer the times rise strictly: a lost token shows in the count, a doubled or misplaced one in the order.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"  # what int(text, 32) reads
_TRIPLES: Final = tuple((a + b + c).encode() for a in _DIGITS for b in _DIGITS for c in _DIGITS)
_MASK: Final = (1 << 30) - 1
TOKEN_LENGTH: Final = 7


def now_us() -> int:
    """The monotonic clock in whole microseconds."""
    return time.monotonic_ns() // 1000


def write_token(at_us: int) -> bytes:
    """The token sent at `at_us`."""
    return _TRIPLES[(at_us >> 15) & 32767] + _TRIPLES[at_us & 32767] + b" "


@dataclass(slots=True)
class Reading:
    """What one received text says: when its tokens were sent (µs, modulo 2**30), and what is wrong with them."""

    sent_us: list[int]
    misplaced: int = 0  # a token not later than the one before: doubled or out of order
    damaged: int = 0  # seven characters that are no token


def read_tokens(text: str) -> Reading:
    """Takes a whole answer apart."""
    reading = Reading([])
    last = -1
    for start in range(0, len(text), TOKEN_LENGTH):
        token = text[start : start + TOKEN_LENGTH]
        try:
            if len(token) != TOKEN_LENGTH or token[6] != " ":
                raise ValueError
            sent = int(token[:6], 32)
        except ValueError:
            reading.damaged += 1
            continue
        if last >= 0 and not 0 < ((sent - last) & _MASK) < _MASK // 2:
            reading.misplaced += 1
        last = sent
        reading.sent_us.append(sent)
    return reading


def since(sent_us: int, at_us: int) -> float:
    """Milliseconds from a token's stamp to `at_us`. Negative only if the clocks disagree."""
    passed = (at_us - sent_us) & _MASK
    if passed > _MASK // 2:
        passed -= _MASK + 1
    return passed / 1000


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile (0 < share <= 1) of unsorted values; 0.0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
