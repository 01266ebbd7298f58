"""Time-ordered identifiers."""

import os
import time
import uuid


def uuid7() -> uuid.UUID:
    """A UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, 12 bits of their fraction (§6.2, method 3), then
    random bits. What is made one after the other in a process is in that order, also within a millisecond.

    Consecutive rows are next to each other in the index. An id reveals nothing but its time.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & (1 << 62) - 1
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random
    return uuid.UUID(int=value)


def lowest_uuid7(milliseconds: int) -> uuid.UUID:
    """The lowest `uuid7` of that Unix millisecond, so that a span of time is a range of primary keys."""
    return uuid.UUID(int=(milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | 0x2 << 62)
