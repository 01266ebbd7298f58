"""Recordings in the admin."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.lib.formatting import seconds
from accounts.models import User
from accounts.staff.recorded import HistoryAdmin
from chat.admin.base import PERMISSION
from chat.admin.filters import PeriodFilter
from chat.admin.links import link, page_link
from chat.models import Recording
from chat.voice.audio_files import audio_file


@admin.register(Recording)
class RecordingAdmin(HistoryAdmin):
    """Shows who recorded, for how long, and how it ended. Transcripts are not shown."""

    list_display = ("link", "status", "reason", "user", "language", "mode", "backend", "length", "created_at")
    list_display_links = None
    list_select_related = ("user",)
    list_before_template = "admin/chat/voice_input.html"
    list_filter = ("status", PeriodFilter)
    lookups: ClassVar = frozenset({"status__exact", "user__exact"})
    ordering = ("-created_at",)
    search_help_text = _("Recording or conversation id, or a user's email address")
    fields = (
        "id", "user", "conversation_link", "language", "mode", "auto_send", "status", "reason", "backend", "length",
        "audio_link", "created_at", "finished_at",
    )  # fmt: skip
    readonly_fields = ("conversation_link", "length", "audio_link")

    def get_urls(self) -> list[Any]:
        download = self.admin_site.admin_view(self.download_audio)
        return [path("<uuid:pk>/audio/", download, name="chat_recording_audio"), *super().get_urls()]

    def download_audio(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The audio as a file, for staff who may view recordings and read message text. Recorded in the audit log."""
        if not (self.has_view_permission(request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        recording = Recording.objects.filter(pk=pk).exclude(audio="").first()
        if recording is not None:
            audit.record(request, "download_recording", recording, conversation_id=recording.conversation_id)
        return audio_file(recording)

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(conversation=id_)

    @admin.display(description=_("Recording"))
    def link(self, row: Recording) -> SafeString | str:
        return page_link("recording", row.pk)

    @admin.display(description=_("Conversation"))
    def conversation_link(self, row: Recording) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description=_("Audio"))
    def audio_link(self, row: Recording) -> SafeString | str:
        return (
            link(reverse("admin:chat_recording_audio", args=[row.pk]), gettext("Download"))
            if row.audio
            else gettext("not stored")
        )

    @admin.display(description=_("Length"))
    def length(self, row: Recording) -> str:
        return seconds(row.audio_ms / 1000)
