"""A waiting line that is fair between users: each has one turn before anybody has the next one."""

from __future__ import annotations

import uuid
from collections import deque


class FairLine:
    """Contents that wait to be read, by the user whose they are; None is one user, too. Not for several threads."""

    def __init__(self) -> None:
        self._lines: dict[uuid.UUID | None, deque[uuid.UUID]] = {}

    def add(self, user: uuid.UUID | None, item: uuid.UUID) -> None:
        self._lines.setdefault(user, deque()).append(item)

    def take(self) -> uuid.UUID | None:
        """The item whose turn it is, which waits no more; None if none waits."""
        if not self._lines:
            return None
        user, line = next(iter(self._lines.items()))
        item = line.popleft()
        del self._lines[user]
        if line:
            self._lines[user] = line  # behind everybody else
        return item
