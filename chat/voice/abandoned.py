"""Recordings whose worker is gone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Max
from django.db.models.functions import Now

from accounts.lib.redis import async_redis
from chat.models import Recording, RecordingStatus, Utterance
from chat.voice.recordings import CLAIM_MS, finish, lease_key


def overdue() -> list[uuid.UUID]:
    """Recordings in progress that are old enough for a worker to have taken them up."""
    rows = Recording.objects.filter(finished_at=None, created_at__lt=Now() - timedelta(milliseconds=CLAIM_MS))
    return list(rows.order_by("created_at").values_list("pk", flat=True)[:500])


async def unattended(recording_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those that no worker listens to at this moment. Raises `redis.RedisError`."""
    pipe = async_redis().pipeline(transaction=False)
    for one in recording_ids:
        pipe.exists(lease_key(one))
    listened = await pipe.execute() if recording_ids else []
    return {one for one, lease in zip(recording_ids, listened, strict=True) if not lease}


def fail_abandoned(recording_id: uuid.UUID) -> uuid.UUID | None:
    """Ends a recording without a worker, with its transcript so far; returns its user's id, or None if it had ended."""
    heard = Utterance.objects.filter(recording_id=recording_id).aggregate(until=Max("end_ms"))["until"] or 0
    if not finish(recording_id, RecordingStatus.FAILED, reason="worker_lost", audio_ms=heard, estimated=True):
        return None
    return Recording.objects.values_list("user_id", flat=True).get(pk=recording_id)
