"""One's own recordings, as far as their audio is kept: to listen to, to take along, to delete."""

from __future__ import annotations

import uuid
from typing import Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.lib.formatting import seconds
from accounts.models import User
from chat.models import Recording
from chat.views.decorators import for_members
from chat.voice import audio_files
from chat.voice.audio_files import audio_file

SHOWN: Final = 200


@require_safe
@for_members
def show(request: HttpRequest) -> HttpResponse:
    rows = _mine(request).exclude(audio="").order_by("-created_at")[:SHOWN]
    context = {
        "rows": [{"row": row, "length": seconds(row.audio_ms / 1000)} for row in rows],
        "days": audio_files.days_kept(_user(request).pk),
    }
    return render(request, "chat/recordings.html", context)


@require_safe
@for_members
def download(request: HttpRequest, recording_id: uuid.UUID) -> HttpResponse:
    """The WAV file. Somebody else's is 404, as is one that is gone."""
    return audio_file(_mine(request).filter(pk=recording_id).first())


@require_POST
@for_members
def delete(request: HttpRequest, recording_id: uuid.UUID) -> HttpResponse:
    """Deletes the audio; the words stay."""
    audio_files.delete_audio(_mine(request).filter(pk=recording_id))
    return redirect("chat:recordings")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # by login_required
    return request.user


def _mine(request: HttpRequest) -> QuerySet[Recording]:
    return Recording.objects.filter(user=_user(request))
