"""Stored audio of recordings, where the user's plan says so: storing, downloading, expiry, deleting.

The files are in the default storage (`var/media`), which is not served.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import IO, Any

import structlog
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import models, transaction
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpResponse
from django.utils.http import content_disposition_header

from accounts.models import User
from accounts.quotas.plans import plan_field
from chat.models import Recording

logger = structlog.get_logger(__name__)


def days_kept(user_id: uuid.UUID) -> int:
    """For how many days the audio of this user is stored; 0: not at all."""
    return (
        User.objects.filter(pk=user_id).annotate(days=plan_field("audio_days")).values_list("days", flat=True)[0] or 0
    )


def store_audio(recording_id: uuid.UUID, wav: IO[bytes]) -> None:
    """Stores a recording's audio, unless the recording has been deleted meanwhile. Raises `OSError`."""
    name = default_storage.save(f"speech/{recording_id.hex[:2]}/{recording_id}.wav", File(wav))
    if not Recording.objects.filter(pk=recording_id).update(audio=name):
        default_storage.delete(name)


def as_base64(recording: Recording) -> str | None:
    """The WAV file for an export; None where there is none, or it cannot be read."""
    if not recording.audio:
        return None
    try:
        with recording.audio.open("rb") as file:
            return base64.b64encode(file.read()).decode()
    except OSError as error:
        logger.warning("audio_missing", recording=str(recording.pk), error=type(error).__name__)
        return None


def expired(now: datetime) -> QuerySet[Recording]:
    """Recordings whose audio is past its retention, by the plan in force now."""
    days = models.ExpressionWrapper(F("days") * timedelta(days=1), output_field=models.DurationField())
    stored = Recording.objects.exclude(audio="").annotate(days=plan_field("audio_days", "user__"))
    return stored.filter(Q(user=None) | Q(days=None) | Q(created_at__lt=models.Value(now) - days))


def delete_audio(recordings: Iterable[Recording]) -> int:
    """Deletes the audio of these recordings but not their transcripts; returns how many had some."""
    names = {row.pk: str(row.audio) for row in recordings if row.audio}
    with transaction.atomic():
        Recording.objects.filter(pk__in=names).update(audio="")
        for name in names.values():
            _delete_when_committed(name)
    return len(names)


def delete_file(sender: type[Recording], instance: Recording, **_: Any) -> None:
    """For the signal `post_delete`: deletes the file of a deleted recording."""
    if instance.audio:
        _delete_when_committed(str(instance.audio))


def _delete_when_committed(name: str) -> None:
    transaction.on_commit(partial(default_storage.delete, name), robust=True)


def audio_file(recording: Recording | None) -> HttpResponse:
    """The audio as a download. The caller checks access. Raises `Http404`.

    RECORDING_SECONDS bounds its size: 19 MB for ten minutes.
    """
    if recording is None or not recording.audio:
        raise Http404
    try:
        with recording.audio.open("rb") as file:
            response = HttpResponse(file.read(), content_type="audio/wav")
    except FileNotFoundError:
        raise Http404 from None
    name = f"{recording.created_at:%Y-%m-%d %H.%M}.wav"
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response
