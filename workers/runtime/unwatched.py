"""Stops answers of conversations that nobody has open, where the plan of the user or UNWATCHED_RUNS says so.

A conversation is open while somebody follows it (`chat.eventlog.followers`).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from django.conf import settings
from django.db.models import Q

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.models import Unwatched
from accounts.quotas.plans import plan_field
from chat.eventlog.followers import find_unwatched
from chat.models import Run
from workers.generation.run import Generation

ASK_SECONDS: Final = 2.0


async def stop_unwatched(active: Mapping[uuid.UUID, Generation]) -> None:
    """Stops runs of `active` that have been unwatched for UNWATCHED_GRACE_SECONDS. To be called several times within
    these. Raises `redis.RedisError` or a database error.
    """
    runs = list(active.values())
    if not runs:
        return
    unwatched = await find_unwatched(generation.claimed.conversation_id for generation in runs)
    now = time.monotonic()
    late: dict[uuid.UUID, Generation] = {}
    for generation in runs:
        if generation.claimed.conversation_id not in unwatched:
            generation.unwatched_since = None
        elif generation.unwatched_since is None:
            generation.unwatched_since = now
        elif now - generation.unwatched_since > settings.UNWATCHED_GRACE_SECONDS:
            late[generation.claimed.id] = generation
    for run_id in await in_db(runs_to_stop, late) if late else ():
        late[run_id].abandon()


def ask_on(loop: asyncio.AbstractEventLoop) -> Callable[[Collection[uuid.UUID]], set[uuid.UUID]]:
    """`find_unwatched` for threads: asked on the loop, and waited for. Where Redis does not answer, all are watched."""

    def ask(conversations: Collection[uuid.UUID]) -> set[uuid.UUID]:
        asked = asyncio.run_coroutine_threadsafe(find_unwatched(conversations), loop)
        try:
            return asked.result(ASK_SECONDS)
        except OUTAGE:  # a time that is up is one, too
            asked.cancel()
            return set()

    return ask


def runs_to_stop(run_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the unwatched `run_ids` that must stop. Not cached: a plan may have changed since the last call."""
    runs = Run.objects.filter(pk__in=list(run_ids)).annotate(rule=plan_field("unwatched_runs", "requested_by__"))
    stopped = Q(rule=Unwatched.STOP)
    if settings.UNWATCHED_RUNS == Unwatched.STOP:
        stopped |= Q(rule="") | Q(rule=None)
    return set(runs.filter(stopped).values_list("pk", flat=True))
