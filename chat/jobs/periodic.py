"""The periodic jobs that `manage.py beat` publishes, and one of them at once."""

from __future__ import annotations

from datetime import timedelta

from celery import current_app
from django.conf import settings

from chat.jobs.queues import MAINTENANCE_QUEUE


def interval_of(name: str) -> timedelta | None:
    """How often beat publishes a job; None if it does not."""
    known = settings.CELERY_BEAT_SCHEDULE.get(name)
    return timedelta(seconds=known["schedule"]) if known else None


def run_now(name: str) -> None:
    """Publishes a job of beat's at once; its schedule stays as it is. Jobs bear being run twice at a time.

    Raises `KeyError` for a job that is not beat's, `BrokerAway` or `redis.RedisError` if the broker is away.
    """
    task = settings.CELERY_BEAT_SCHEDULE[name]["task"]
    current_app.send_task(task, queue=MAINTENANCE_QUEUE, retry=False, ignore_result=True)
