"""What waits for workers and what they do, by kind of job: from the broker, PostgreSQL and what the workers report.

The broker has jobs, which are only notifications; what is to be done is in the database's rows. A kind without rows
(`tools`) is known by its jobs alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import redis
import structlog
from django.conf import settings

from chat.dashboard.queries import read_rows
from chat.jobs.processes import living_processes
from chat.jobs.queues import BrokerAway, queue_lengths

Work = Literal[
    "answers", "recordings", "reading", "recognition", "vectors", "imports", "exports", "lists", "judging", "webhooks"
]  # fmt: skip
KINDS: Final[Mapping[str, tuple[Work, ...]]] = {
    "answers": ("answers",),
    "speech": ("recordings",),
    "tools": (),
    "files": ("reading", "recognition", "vectors", "imports", "exports", "lists"),
    "moderation": ("judging",),
    "maintenance": ("webhooks",),
}
"""What each kind of job (`settings.WORKER_QUEUES`) works through."""

# Each by a partial index. An answer that waited for a person waits for a worker only since it was queued again.
_CLAIMED: Final = """
SELECT '{work}', count(*) FILTER (WHERE NOT claimed), count(*) FILTER (WHERE claimed),
    EXTRACT(EPOCH FROM clock_timestamp() - min(created_at) FILTER (WHERE NOT claimed))::float
FROM (SELECT created_at, COALESCE(claimed_until > clock_timestamp(), false) AS claimed
      FROM {table} WHERE state = 'pending') one"""
_TRANSFERS: Final = """
SELECT '{work}', count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'running'),
    EXTRACT(EPOCH FROM clock_timestamp() - min(created_at) FILTER (WHERE state = 'waiting'))::float
FROM {table} WHERE state IN ('waiting', 'running')"""
_QUERY: Final = " UNION ALL ".join(
    (
        """
SELECT 'answers', count(*) FILTER (WHERE status = 'queued'), count(*) FILTER (WHERE status = 'running'),
    EXTRACT(EPOCH FROM clock_timestamp() - min(CASE WHEN queued_ms IS NULL THEN created_at ELSE enqueued_at END)
        FILTER (WHERE status = 'queued'))::float
FROM chat_run WHERE status IN ('queued', 'running')""",
        """
SELECT 'recordings', count(*) FILTER (WHERE status = 'starting'), count(*) FILTER (WHERE status = 'listening'),
    EXTRACT(EPOCH FROM clock_timestamp() - min(created_at) FILTER (WHERE status = 'starting'))::float
FROM chat_recording WHERE finished_at IS NULL AND status IN ('starting', 'listening')""",
        _CLAIMED.format(work="reading", table="chat_blob"),
        _CLAIMED.format(work="recognition", table="chat_recognition"),
        _CLAIMED.format(work="vectors", table="chat_embedding"),
        _TRANSFERS.format(work="imports", table="chat_importjob"),
        _TRANSFERS.format(work="exports", table="chat_exportjob"),
        _TRANSFERS.format(work="lists", table="chat_staffexport"),
        """
SELECT 'judging', count(*), NULL, EXTRACT(EPOCH FROM clock_timestamp() - min(created_at))::float FROM chat_unjudged""",
        """
SELECT 'webhooks', count(*), NULL, EXTRACT(EPOCH FROM clock_timestamp() - min(next_attempt_at))::float
FROM chat_webhookdelivery WHERE state = 'pending' AND next_attempt_at <= clock_timestamp()""",
    )
)

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkState:
    """`running` is None where nothing says what has begun; `oldest`: seconds that the oldest one waits, None: none."""

    waiting: int
    running: int | None
    oldest: float | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """`jobs` in the broker and the `workers` that serve the kind (machine and PID); None where that is not known."""

    kind: str
    jobs: int | None
    workers: Sequence[str] | None
    works: Mapping[Work, WorkState]


def read_queues() -> list[QueueState] | None:
    """The kinds in the order of the settings. None if PostgreSQL took too long."""
    rows: list[Any] | None = read_rows(_QUERY, {})
    if rows is None:
        return None
    works: dict[Work, WorkState] = {name: WorkState(*state) for name, *state in rows}
    assert works.keys() == set(get_args(Work))
    jobs, serving = _jobs(), _serving()
    return [
        QueueState(
            kind,
            None if jobs is None else jobs.get(kind),
            None if serving is None else serving.get(queue, ()),
            {work: works[work] for work in KINDS.get(kind, ())},
        )
        for kind, queue in settings.WORKER_QUEUES.items()
    ]


def _jobs() -> dict[str, int] | None:
    try:
        return queue_lengths()
    except (redis.RedisError, OSError, BrokerAway) as error:
        logger.warning("queues_not_counted", error=type(error).__name__)
        return None


def _serving() -> dict[str, list[str]] | None:
    """The living workers by the queues that they serve, in the broker's names."""
    found: dict[str, list[str]] = {}
    try:
        for one in living_processes():
            for queue in one.queues if one.kind == "worker" and not one.draining else ():
                found.setdefault(queue, []).append(f"{one.host}, PID {one.pid}")
    except (redis.RedisError, OSError) as error:
        logger.warning("workers_not_read", error=type(error).__name__)
        return None
    return found
