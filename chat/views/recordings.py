"""One's own recordings, as far as their audio is kept: to listen to, to take along, to delete."""

from __future__ import annotations

import uuid
from typing import Final

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from chat import kept_audio
from chat.models import Recording
from chat.readable import seconds
from chat.views import for_members

SHOWN: Final = 200


@require_safe
@for_members
def show(request: HttpRequest) -> HttpResponse:
    rows = _mine(request).exclude(audio="").order_by("-created_at")[:SHOWN]
    context = {
        "rows": [{"row": row, "length": seconds(row.audio_ms / 1000)} for row in rows],
        "days": kept_audio.days_kept(_user(request).pk),
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
    kept_audio.delete_audio(_mine(request).filter(pk=recording_id))
    return redirect("chat:recordings")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # by login_required
    return request.user


def _mine(request: HttpRequest) -> QuerySet[Recording]:
    return Recording.objects.filter(user=_user(request))


def audio_file(recording: Recording | None) -> HttpResponse:
    """For whoever may have it; RECORDING_SECONDS bound its size (19 MB for ten minutes). Raises `Http404`."""
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
