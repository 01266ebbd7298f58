"""Where a new message goes in a waiting line. Pure."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Final

GAP: Final = 1024  # between the positions of two messages, for those that come between them


def fair_place(authors: Sequence[uuid.UUID], author: uuid.UUID) -> int:
    """The index at which an author's new message goes into a line of messages by `authors`: behind their own ones, and
    before the first message that has more of its own author's before it than the new one has.

    So everybody's first message comes before anybody's second one, and nobody waits for all that another one has asked.
    """
    rank = sum(one == author for one in authors)
    first = max((place + 1 for place, one in enumerate(authors) if one == author), default=0)
    before: Counter[uuid.UUID] = Counter()
    for place, one in enumerate(authors):
        if place >= first and before[one] > rank:
            return place
        before[one] += 1
    return len(authors)


def position_at(positions: Sequence[int], at: int) -> int | None:
    """A position that comes at index `at` of ascending `positions`; None if there is no room between two of them."""
    if not positions:
        return 0
    if at == len(positions):
        return positions[-1] + GAP
    if at == 0:
        return positions[0] - GAP
    low, high = positions[at - 1], positions[at]
    return (low + high) // 2 if high - low > 1 else None
