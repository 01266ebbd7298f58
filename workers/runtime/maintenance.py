"""Periodic tasks (settings.CELERY_BEAT_SCHEDULE). Each may run twice at once, or be repeated after an interruption."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

import structlog
from celery import shared_task
from django.conf import settings
from django.db import connections

from accounts.lib.redis import sync_redis
from chat.portability import transfers
from chat.retention import erasure
from chat.retention import purge as purge_module
from chat.review import decisions

LAST_PURGE: Final = "maintenance:purged"
PURGING: Final = "maintenance:purging"
EVERY_SECONDS: Final = 3600

logger = structlog.get_logger(__name__)


@shared_task(name="workers.maintenance.purge", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def purge() -> None:
    """Permanently deletes expired data for up to `PURGE_SECONDS`; the next hour's task continues."""
    # No `expires` on the job: a worker whose clock is ahead would never run it. Jobs that piled up count as one.
    if not sync_redis().set(PURGING, "1", nx=True, ex=EVERY_SECONDS - 600):
        return
    began, gone = time.monotonic(), Counter[str]()
    try:
        gone["users"] = erasure.erase_due()
        for progress in purge_module.purge():
            gone[progress.kind] = progress.done
            if time.monotonic() - began > settings.PURGE_SECONDS:
                logger.warning("purge_interrupted", **gone)
                break
        sync_redis().set(LAST_PURGE, str(time.time()))
        logger.info("data_purged", seconds=round(time.monotonic() - began, 2), **gone)
    finally:
        connections.close_all()


@shared_task(name="workers.maintenance.release_stale_claims", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def release_stale_claims() -> None:
    """Gives cases back to the review queue whose reviewers have not decided for too long."""
    try:
        if given_back := decisions.release_stale_claims():
            logger.info("stale_claims_released", cases=given_back)
    finally:
        connections.close_all()


def last_purge() -> float | None:
    """When the purge last completed, in seconds since 1970; None: never. Raises `redis.RedisError`."""
    raw = sync_redis().get(LAST_PURGE)
    return float(str(raw, "ascii")) if isinstance(raw, bytes) else None


@shared_task(name="workers.maintenance.publish_transfers", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def publish_transfers() -> None:
    """Publishes imports and exports again that nobody has claimed, or whose worker is lost."""
    try:
        if published := transfers.publish_waiting():
            logger.info("transfers_published", count=published)
    finally:
        connections.close_all()
