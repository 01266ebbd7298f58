"""Periodic tasks (settings.CELERY_BEAT_SCHEDULE). Each may run twice at once, or be repeated after an interruption."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import Any, Final

import structlog
from celery import shared_task
from django.conf import settings

from accounts import audit_chain
from accounts.lib.redis import sync_redis
from accounts.staff import budgets, report_mails
from chat.models import PeriodicJob
from chat.portability import transfers
from chat.retention import erasure
from chat.retention import purge as purge_module
from chat.review import decisions
from workers.runtime.periodic import recorded

PURGING: Final = "maintenance:purging"
EVERY_SECONDS: Final = 3600

logger = structlog.get_logger(__name__)


@shared_task(name="workers.maintenance.purge", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def purge() -> None:
    """Permanently deletes expired data for up to `PURGE_SECONDS`; the next hour's task continues."""
    # No `expires` on the job: a worker whose clock is ahead would never run it. Jobs that piled up count as one.
    if sync_redis().set(PURGING, "1", nx=True, ex=EVERY_SECONDS - 600):
        _purge()


@recorded("purge")
def _purge() -> dict[str, Any]:
    """Returns what was deleted, and what is still expired, by kind."""
    began, gone = time.monotonic(), Counter[str]()
    gone["users"] = erasure.erase_due()
    for progress in purge_module.purge():
        gone[progress.kind] = progress.done
        if time.monotonic() - began > settings.PURGE_SECONDS:
            logger.warning("purge_interrupted", **gone)
            break
    left = {name: dataclasses.asdict(found) for name, found in purge_module.backlog().items()}
    seconds = round(time.monotonic() - began, 2)
    logger.info("data_purged", seconds=seconds, left=sum(one["rows"] for one in left.values()), **gone)
    return {"deleted": dict(gone), "left": left}


@shared_task(name="workers.maintenance.release_stale_claims", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
@recorded("release-stale-claims")
def release_stale_claims() -> None:
    """Gives cases back to the review queue whose reviewers have not decided for too long."""
    if given_back := decisions.release_stale_claims():
        logger.info("stale_claims_released", cases=given_back)


@shared_task(name="workers.maintenance.publish_transfers", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
@recorded("publish-transfers")
def publish_transfers() -> None:
    """Publishes imports and exports again that nobody has claimed, or whose worker is lost."""
    if published := transfers.publish_waiting():
        logger.info("transfers_published", count=published)


@shared_task(name="workers.maintenance.check_budgets", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
@recorded("check-budgets")
def check_budgets() -> dict[str, Any]:
    """Mails about budgets that have reached a level, and usage reports of weeks that are over."""
    return {"budgets": budgets.check_budgets(), "reports": report_mails.mail_reports()}


@shared_task(name="workers.maintenance.seal_audit", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
@recorded("seal-audit")
def seal_audit() -> None:
    """Adds the newest audit entries to the hash chain."""
    audit_chain.seal()


def last_purge() -> float | None:
    """When the purge last completed, in seconds since 1970; None: never. Raises a database error."""
    ended = PeriodicJob.objects.filter(name="purge").values_list("ended_at", flat=True).first()
    return ended.timestamp() if ended else None
