"""When the periodic jobs (settings.CELERY_BEAT_SCHEDULE) were published, when they ran, and what they found."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import django.db
import structlog
from django.conf import settings
from django.db.models.functions import Now

from accounts.lib.db import in_db, release_connections
from accounts.lib.outage import OUTAGE
from chat.models import PeriodicJob

AWAY: Final = (django.db.Error, *OUTAGE)  # also: not migrated yet

logger = structlog.get_logger(__name__)
_recorded_at: dict[str, float] = {}  # by job: when `recorded_round` last wrote, by `time.monotonic`


def last_published(names: list[str]) -> dict[str, datetime]:
    """When each of these jobs was last published. A job that is not known yet counts as published now, so that its
    interval begins once, and not at each start of beat. Raises a database error.
    """
    try:
        PeriodicJob.objects.bulk_create(
            [PeriodicJob(name=name, published_at=Now()) for name in names], ignore_conflicts=True
        )
        PeriodicJob.objects.filter(name__in=names, published_at=None).update(published_at=Now())
        found = PeriodicJob.objects.filter(name__in=names).values_list("name", "published_at")
        return {name: at for name, at in found if at is not None}
    finally:
        release_connections()


def mark_published(name: str) -> None:
    """Records that a job was published. Raises a database error."""
    try:
        PeriodicJob.objects.update_or_create(name=name, defaults={"published_at": Now()})
    finally:
        release_connections()


def recorded(name: str) -> Callable[[Callable[[], dict[str, Any] | None]], Callable[[], None]]:
    """Decorates the function of a periodic job, which may return a report (JSON)."""

    def decorate(run: Callable[[], dict[str, Any] | None]) -> Callable[[], None]:
        @functools.wraps(run)
        def wrapped() -> None:
            try:
                with _recording(name) as report:
                    report.update(run() or {})
            finally:
                release_connections()

        return wrapped

    return decorate


async def recorded_round(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Carries out a periodic job of the event loop. What else starts it may do so often, so this process records it at
    most once in the job's interval. Raises what `run` does, which is recorded.
    """
    began = time.monotonic()
    interval = settings.CELERY_BEAT_SCHEDULE[name]["schedule"]
    if began - _recorded_at.get(name, -interval) < interval / 2:
        await run()
        return
    _recorded_at[name] = began
    await in_db(_write, name, started_at=Now(), error="")
    try:
        await run()
    except Exception as error:
        await in_db(_write, name, error=type(error).__name__, seconds=time.monotonic() - began)
        raise
    await in_db(_write, name, ended_at=Now(), error="", seconds=time.monotonic() - began)


@contextmanager
def _recording(name: str) -> Iterator[dict[str, Any]]:
    """Writes the begin and the end of a run; `report` is what it fills in. An outage of PostgreSQL is not its error."""
    report: dict[str, Any] = {}
    began = time.monotonic()
    _write(name, started_at=Now(), error="")
    try:
        yield report
    except Exception as error:
        _write(name, error=type(error).__name__, seconds=time.monotonic() - began)
        raise
    found = {"report": report} if report else {}
    _write(name, ended_at=Now(), error="", seconds=time.monotonic() - began, **found)


def _write(name: str, **fields: Any) -> None:
    try:
        PeriodicJob.objects.update_or_create(name=name, defaults=fields)
    except AWAY as error:
        logger.warning("periodic_job_not_recorded", job=name, error=type(error).__name__)
