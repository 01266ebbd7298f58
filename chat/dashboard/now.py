"""Current answers, queue, users and workers: one SQL statement and one Redis read."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import redis
import structlog
from django.db import connection
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.charts import share
from accounts.lib.formatting import number, seconds
from accounts.lib.redis import PROBE, PROBE_SECONDS, sync_redis, write_refusal
from accounts.online import Online, count_online
from chat.dashboard import queries
from chat.dashboard.links import Links
from chat.dashboard.panels import Tile
from chat.jobs.queues import BrokerAway, queue_lengths
from chat.jobs.worker_heartbeats import Heartbeat, living_workers

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

NO_REDIS: Final = _("Unknown: Redis does not respond.")
NO_WRITES: Final = _("Unknown: Redis takes no writes.")
NO_WORKERS: Final = _("no messages are being answered")
LATE_SECONDS: Final = 10  # the queue's tile turns red when a run waits longer

logger = structlog.get_logger(__name__)

_NOW: Final = """
SELECT (SELECT count(*) FROM chat_run WHERE status = 'running'),
       (SELECT count(*) FROM chat_run WHERE status = 'queued'),
       (SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(enqueued_at)) FROM chat_run WHERE status = 'queued'),
       (SELECT count(*) FROM (SELECT FROM chat_run WHERE created_at > statement_timestamp() - interval '1 minute'
                              LIMIT %s) one),
       (SELECT count(*) FROM chat_recording WHERE status IN ('starting', 'listening'))
"""


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """Counts of this moment. `oldest_wait`: seconds since the oldest queued run's job was published."""

    running: int
    queued: int
    oldest_wait: float | None
    last_minute: int
    recordings: int


@dataclass(frozen=True, slots=True)
class RedisState:
    """Who is connected at this moment. `jobs` is None where the broker is not our Redis."""

    online: Online
    workers: list[Heartbeat]
    jobs: int | None


@dataclass(frozen=True, slots=True)
class RedisUnknown:
    """Why nothing is known of who is connected."""

    reason: StrPromise


def read_database_state() -> DatabaseState:
    with connection.cursor() as cursor:
        cursor.execute(_NOW, [queries.MAX_ROWS])
        running, queued, wait, last_minute, recordings = cursor.fetchone()
    return DatabaseState(running, queued, None if wait is None else float(wait), last_minute, recordings)


def read_redis_state() -> RedisState | RedisUnknown:
    """What processes have written into Redis. Where it takes no writes, heartbeats of living processes are missing."""
    try:
        sync_redis().set(*PROBE, ex=PROBE_SECONDS)
        return RedisState(count_online(), living_workers(), _waiting_jobs())
    except (redis.RedisError, OSError, ValueError) as error:
        logger.warning("dashboard_redis_failed", error=type(error).__name__)
        return RedisUnknown(NO_WRITES if write_refusal(error) else NO_REDIS)


def _waiting_jobs() -> int | None:
    """The jobs in the broker; None where it is away or does not count them."""
    try:
        lengths = queue_lengths()
    except BrokerAway:
        return None
    return sum(lengths.values()) if lengths else None


def now_tiles(state: DatabaseState, live: RedisState | RedisUnknown, links: Links) -> Iterable[Tile]:
    users = links.list("accounts", "user", online="yes")
    if isinstance(live, RedisUnknown):
        yield Tile(gettext("Users online"), None, str(live.reason))
        yield Tile(gettext("Open sockets"), None, str(live.reason))
    else:
        online = live.online
        yield Tile(gettext("Users online"), number(online.users), gettext("with a page open"), users)
        servers = ngettext("%(count)s web process", "%(count)s web processes", online.processes)
        # A process without open sockets publishes nothing, so that none is counted where nobody has a page open.
        note = servers % {"count": number(online.processes)} if online.processes else ""
        yield Tile(gettext("Open sockets"), number(online.sockets), note, users)
    yield Tile(gettext("Answers in progress"), number(state.running), "", links.runs(status__exact="running"))
    yield _queue_tile(state, live, links)
    if isinstance(live, RedisUnknown):
        yield Tile(gettext("Workers"), None, str(live.reason))
    else:
        slots = sum(worker.slots for worker in live.workers)
        used = ngettext("%(used)s of %(count)s slot in use", "%(used)s of %(count)s slots in use", slots) % {
            "used": number(sum(worker.runs for worker in live.workers)),
            "count": number(slots),
        }
        alive = len(live.workers)
        yield Tile(
            gettext("Workers"), number(alive), used if alive else str(NO_WORKERS), "#workers", "" if alive else "bad"
        )
    recordings = links.list("chat", "recording", status__exact="listening")
    yield Tile(gettext("Recordings in progress"), number(state.recordings), "", recordings)
    yield Tile(gettext("Runs started (last minute)"), number(state.last_minute), "", links.runs(period="1h"))


def _queue_tile(state: DatabaseState, live: RedisState | RedisUnknown, links: Links) -> Tile:
    if state.oldest_wait is None:
        notes = [gettext("queue is empty")]
    else:
        notes = [gettext("oldest has waited %(time)s") % {"time": seconds(state.oldest_wait)}]
    if isinstance(live, RedisState) and live.jobs is not None:
        jobs = ngettext("%(count)s job in the broker", "%(count)s jobs in the broker", live.jobs)
        notes.append(jobs % {"count": number(live.jobs)})
    note = " · ".join(notes)
    late = state.oldest_wait is not None and state.oldest_wait > LATE_SECONDS
    return Tile(
        gettext("Queued runs"), number(state.queued), note, links.runs(status__exact="queued"), "bad" if late else ""
    )


def worker_rows(live: RedisState | RedisUnknown) -> list[dict[str, Any]]:
    return [
        {"name": f"{worker.host}, PID {worker.pid}", "runs": number(worker.runs), "slots": number(worker.slots),
         "percent": share(worker.runs, worker.slots),
         "state": gettext("draining") if worker.draining else gettext("running"),
         "uptime": seconds(max(time.time() - worker.since, 0))}
        for worker in (live.workers if isinstance(live, RedisState) else [])
    ]  # fmt: skip
