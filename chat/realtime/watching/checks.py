"""Which links no longer work, and which readers are no longer logged in."""

from __future__ import annotations

import uuid
from typing import NamedTuple

from accounts.auth.sessions import still_valid
from chat.models import Message
from chat.shares.links import working_shares

Reader = tuple[uuid.UUID, str]  # user, and the hash of their session


class Ended(NamedTuple):
    links: set[uuid.UUID]
    readers: set[Reader]


def find_ended(links: set[uuid.UUID], readers: set[Reader]) -> Ended:
    """Those of `links` that do not work, and of `readers` whose session has ended."""
    working = set(working_shares().filter(pk__in=links).values_list("pk", flat=True))
    return Ended(links - working, {reader for reader in readers if not still_valid(*reader)})


def have_rivals(conversation_id: uuid.UUID, created: set[str], path: set[str]) -> bool:
    """Whether something else was written below the parents of the messages `created`, that is not on the path: a reader
    from before may have it.
    """
    rows = Message.objects.filter(conversation=conversation_id)
    parents = set(rows.filter(pk__in=created).values_list("parent_id", flat=True))
    below = rows.filter(parent__in=parents - {None})
    if None in parents:
        below |= rows.filter(parent=None)
    return below.exclude(pk__in=path).exists()
