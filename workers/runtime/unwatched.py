"""Who has a conversation open: the web processes that are subscribed to its group, as Redis counts them. And what
becomes of an answer that nobody has open, as the plan of whoever asked for it says, or else UNWATCHED_RUNS."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import Q

from accounts.models import Unwatched
from accounts.quotas.plans import in_force
from chat.eventlog import store
from chat.models import Run


async def find_unwatched(conversations: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those that no socket follows. Raises `redis.RedisError`."""
    layer = store.channel_layer()
    by_server: dict[Any, dict[str, uuid.UUID]] = {}
    for one in set(conversations):
        group = store.group_name(one)
        by_server.setdefault(layer.group_connection(group), {})[layer.group_address(group)] = one
    found = set()
    for server, addresses in by_server.items():
        for address, count in await server.pubsub_numsub(*addresses):
            if not count:
                found.add(addresses[address.decode() if isinstance(address, bytes) else address])
    return found


def runs_to_stop(run_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those among runs that nobody watches that are not to go on. Asked each time: a plan may have changed since."""
    runs = Run.objects.filter(pk__in=list(run_ids)).annotate(rule=in_force("unwatched_runs", "requested_by__"))
    stopped = Q(rule=Unwatched.STOP)
    if settings.UNWATCHED_RUNS == Unwatched.STOP:
        stopped |= Q(rule="") | Q(rule=None)
    return set(runs.filter(stopped).values_list("pk", flat=True))
