"""Celery's scheduler with a lease in Redis: of several beat processes one publishes, and the others stand by.

When each job was last published is in the database (`workers.runtime.periodic`): a beat that is restarted, or another
one that takes over, goes on where the last one stopped.

The lease is renewed as the scheduler ticks, expires `LEASE_SECONDS` after the last renewal, and is given back by a
process that ends normally. A process that was frozen for longer asks again before it publishes. The periodic tasks
themselves bear being run twice (workers.runtime.maintenance): a pause between asking and publishing does no harm.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from typing import Any, Final

import redis
import structlog
from celery import beat

from accounts.lib.redis import Script, sync_redis
from chat.jobs.processes import EVERY_SECONDS, Reporter
from workers.runtime.beat_lease import LEASE
from workers.runtime.periodic import AWAY, last_published, mark_published

LEASE_SECONDS: Final = 20.0
RENEW_SECONDS: Final = 5.0  # a tick never sleeps longer

# KEYS: the lease. ARGV: who asks, milliseconds. Whether they have it now.
_TAKE: Final = Script(
    """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)
_GIVE_BACK: Final = Script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)

logger = structlog.get_logger(__name__)


class LeasedScheduler(beat.Scheduler):  # type: ignore[misc]  # Celery has no types
    """`manage.py beat` names it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._leads: bool | None = None  # None: not asked yet
        self._asked_at = 0.0
        self._known = False  # when the jobs were last published
        self._reporter, self._reported_at = Reporter("beat", self.owner), float("-inf")
        super().__init__(*args, **options)

    def tick(self, *args: Any, **options: Any) -> float:
        """Publishes what is due if this process has the lease; seconds until the next tick."""
        self._report()
        if not self._has_lease() or not self._knows_schedule():
            return RENEW_SECONDS
        return min(float(super().tick(*args, **options)), RENEW_SECONDS)

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
        """Publishes a job, then records when. If PostgreSQL is away it may be published once more: jobs bear that."""
        result = super().apply_async(entry, *args, **options)
        try:
            mark_published(entry.name)
        except AWAY as error:
            logger.warning("schedule_not_saved", job=entry.name, error=type(error).__name__)
        return result

    def _knows_schedule(self) -> bool:
        """Reads when the jobs were last published, once after each time that this process gets the lease."""
        if self._known:
            return True
        try:
            found = last_published(list(self.schedule))
        except AWAY as error:
            logger.warning("schedule_not_read", error=type(error).__name__, note="nothing is published meanwhile")
            return False
        for name, at in found.items():
            self.schedule[name].last_run_at = at
        self._heap = None  # Celery's own plan, which it makes anew
        self._known = True
        return True

    def _report(self) -> None:
        """Says that this process lives, also while it stands by."""
        if time.monotonic() - self._reported_at < EVERY_SECONDS:
            return
        try:
            self._reporter.report_now()
            self._reported_at = time.monotonic()
        except redis.RedisError as error:
            logger.warning("process_not_reported", error=type(error).__name__)

    def close(self) -> None:
        try:
            _GIVE_BACK.run(sync_redis(), 1, LEASE, self.owner)
            self._reporter.end_now()
        except redis.RedisError:
            logger.warning("beat_lease_not_given_back", note="it expires by itself")
        super().close()

    def _has_lease(self) -> bool:
        now = time.monotonic()
        if self._leads and now - self._asked_at < RENEW_SECONDS:
            return True
        try:
            leads = bool(_TAKE.run(sync_redis(), 1, LEASE, self.owner, int(LEASE_SECONDS * 1000)))
        except redis.RedisError as error:
            logger.warning("beat_lease_unknown", error=type(error).__name__, note="nothing is published meanwhile")
            self._leads = None
            return False
        if not leads or self._leads is None:
            self._known = False  # another one may have published since
        if leads != self._leads:
            logger.info("beat_leads" if leads else "beat_stands_by")
        self._leads, self._asked_at = leads, now
        return leads
