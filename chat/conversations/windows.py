"""A part of a path, wherever in it: around a message, at its beginning, from a day on, or below a message."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from typing import Final

from chat.conversations.branches import newest_leaf, path_ids
from chat.models import Message
from chat.protocol.errors import NotFound

LONGEST_PATH: Final = 100_000  # messages
BEFORE: Final = 15  # messages above the one that is looked for
WINDOW: Final = 40


@dataclass(frozen=True, slots=True)
class PathWindow:
    """The part of a path that ends at `last`: `size` messages. `leaf` is the path's end; `target` is looked for."""

    last: uuid.UUID
    size: int
    leaf: uuid.UUID
    target: uuid.UUID

    @property
    def has_later(self) -> bool:
        return self.last != self.leaf


def window_around(conversation_id: uuid.UUID, message_id: uuid.UUID) -> PathWindow:
    """The part around a message of the newest path that has it. Raises `NotFound`."""
    leaf = newest_leaf(conversation_id, message_id)
    path = path_ids(conversation_id, leaf, limit=LONGEST_PATH)
    return _cut(path, path.index(message_id) - BEFORE, message_id)


def window_at_start(conversation_id: uuid.UUID, leaf: uuid.UUID | None) -> PathWindow:
    """The beginning of a path. Raises `NotFound` if it is empty."""
    path = _path(conversation_id, leaf)
    return _cut(path, 0, path[0])


def window_at_end(conversation_id: uuid.UUID, leaf: uuid.UUID | None) -> PathWindow:
    """The end of a path. Raises `NotFound` if it is empty."""
    path = _path(conversation_id, leaf)
    return _cut(path, len(path) - WINDOW, path[-1])


def window_from(conversation_id: uuid.UUID, leaf: uuid.UUID | None, moment: datetime.datetime) -> PathWindow:
    """The part of a path from a time on; its end if nothing is later. Raises `NotFound` if it is empty."""
    path = _path(conversation_id, leaf)
    rows = Message.objects.filter(conversation_id=conversation_id, created_at__gte=moment)
    later = set(rows.values_list("pk", flat=True))
    at = next((place for place, pk in enumerate(path) if pk in later), len(path) - 1)
    return _cut(path, at - BEFORE, path[at])


def window_below(conversation_id: uuid.UUID, leaf: uuid.UUID, after: uuid.UUID) -> PathWindow:
    """What follows a message on a path. Raises `NotFound` if the path has not got it, or nothing follows."""
    path = _path(conversation_id, leaf)
    if after not in path[:-1]:
        raise NotFound
    at = path.index(after) + 1
    return _cut(path, at, path[at], first=at)


def _path(conversation_id: uuid.UUID, leaf: uuid.UUID | None) -> list[uuid.UUID]:
    path = path_ids(conversation_id, leaf, limit=LONGEST_PATH)
    if not path:
        raise NotFound
    return path


def _cut(path: list[uuid.UUID], start: int, target: uuid.UUID, *, first: int = 0) -> PathWindow:
    start = max(first, start)
    end = min(len(path), start + WINDOW)
    return PathWindow(path[end - 1], end - start, path[-1], target)
