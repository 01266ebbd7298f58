"""A user's own stored recordings: list, download, delete."""

from __future__ import annotations

import uuid
from typing import Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from accounts.lib.formatting import seconds
from chat.models import Recording
from chat.views.decorators import for_members
from chat.voice import audio_files
from chat.voice.audio_files import audio_file

SHOWN: Final = 200


@require_safe
@for_members
def show_recordings(request: HttpRequest) -> HttpResponse:
    rows = _own_recordings(request).exclude(audio="").order_by("-created_at")[:SHOWN]
    context = {
        "rows": [{"row": row, "length": seconds(row.audio_ms / 1000)} for row in rows],
        "days": audio_files.days_kept(user_of(request).pk),
    }
    return render(request, "chat/recordings.html", context)


@require_safe
@for_members
def download_audio(request: HttpRequest, recording_id: uuid.UUID) -> HttpResponse:
    """The WAV file; 404 for another user's recording, or one without audio."""
    return audio_file(_own_recordings(request).filter(pk=recording_id).first())


@require_POST
@for_members
def delete_audio(request: HttpRequest, recording_id: uuid.UUID) -> HttpResponse:
    """Deletes the audio but not the transcript."""
    audio_files.delete_audio(_own_recordings(request).filter(pk=recording_id))
    return redirect("chat:recordings")


def _own_recordings(request: HttpRequest) -> QuerySet[Recording]:
    return Recording.objects.filter(user=user_of(request))
