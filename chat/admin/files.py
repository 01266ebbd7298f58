"""Attached files in the admin: who has how much of what kind. Names and contents need the permission to read texts."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.lib.formatting import file_size
from accounts.models import User
from chat.admin.base import PERMISSION, BodyAdmin
from chat.admin.filters import PeriodFilter
from chat.admin.links import link, page_link
from chat.conversations.file_removal import remove_file
from chat.files.serving import send_content
from chat.models import File


@admin.register(File)
class FileAdmin(BodyAdmin):
    """Each person's files. Reading one and deleting one are recorded in the audit log."""

    list_display = ("link", "kind", "size", "state", "owner", "conversation_link", "created_at")
    list_display_links = None
    list_select_related = ("blob", "owner")
    list_filter = ("blob__kind", "blob__state", PeriodFilter)
    lookups: ClassVar = frozenset(
        {"owner__exact", "conversation__exact", "collection__exact", "blob__kind__exact", "blob__state__exact"}
    )
    ordering = ("-created_at",)
    search_help_text = _("File or conversation id, or a user's email address")
    facts = (
        "id", "owner", "conversation_link", "collection_link", "kind", "media_type", "size", "state", "reason",
        "sha256", "created_at",
    )  # fmt: skip
    body_fields = ("name", "download")
    body_title = _("Name and content")

    @classmethod
    def private_columns(cls) -> tuple[str, ...]:
        return ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("blob", "owner")

    def get_urls(self) -> list[Any]:
        content = self.admin_site.admin_view(self.download_content)
        return [path("<uuid:pk>/content/", content, name="chat_file_content"), *super().get_urls()]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("chat.delete_file"))

    def delete_model(self, request: HttpRequest, obj: File) -> None:
        """Deletes a file for its owner, too; messages that had it say so."""
        audit.record(request, "delete_file", obj, conversation_id=obj.conversation_id)
        remove_file(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[File]) -> None:
        for file in queryset:
            self.delete_model(request, file)

    def download_content(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The original, for staff who may view files and read message text. Recorded in the audit log."""
        if not (self.has_view_permission(request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        file = File.objects.select_related("blob").filter(pk=pk).first()
        if file is None:
            raise Http404
        audit.record(request, "download_file", file, conversation_id=file.conversation_id)
        return send_content(request, file, lambda: True)

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(owner__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(conversation=id_) | rows.filter(collection=id_)

    @admin.display(description=_("File"))
    def link(self, row: File) -> SafeString | str:
        return page_link("file", row.pk)

    @admin.display(description=_("Conversation"))
    def conversation_link(self, row: File) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description=_("Collection"))
    def collection_link(self, row: File) -> SafeString | str:
        return page_link("collection", row.collection_id)

    @admin.display(description=_("Kind"))
    def kind(self, row: File) -> str:
        return row.blob.get_kind_display()

    @admin.display(description=_("Type"))
    def media_type(self, row: File) -> str:
        return row.blob.media_type

    @admin.display(description=_("Size"))
    def size(self, row: File) -> str:
        return file_size(row.blob.size)

    @admin.display(description=_("State"))
    def state(self, row: File) -> str:
        return row.blob.get_state_display()

    @admin.display(description=_("Reason"))
    def reason(self, row: File) -> str:
        return row.blob.reason

    @admin.display(description=_("SHA-256"))
    def sha256(self, row: File) -> str:
        return row.blob.sha256

    @admin.display(description=_("Content"))
    def download(self, row: File) -> SafeString | str:
        return link(reverse("admin:chat_file_content", args=[row.pk]), gettext("Download"))
