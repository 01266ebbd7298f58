"""Messages that wait for their turn, in the admin."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any, ClassVar

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.models import User
from chat.admin.base import BodyAdmin
from chat.admin.links import page_link
from chat.models import QueuedMessage, QueuedState
from chat.turns import going_on, waiting_line


@admin.register(QueuedMessage)
class QueuedMessageAdmin(BodyAdmin):
    """The waiting lines of all conversations. Staff with the permission remove a message, which is recorded."""

    list_display = ("link", "conversation_link", "author", "reason", "created_at")
    list_display_links = None
    list_select_related = ("author",)
    list_filter = ("reason",)
    lookups: ClassVar = frozenset({"reason__exact", "conversation__exact", "author__exact"})
    ordering = ("-id",)  # ids are ordered by time
    search_help_text = _("Message or conversation id, or an author's email address")
    facts = ("id", "conversation_link", "after_link", "author", "reason", "sentence", "created_at", "changed_at")
    body_fields = ("body",)
    body_title = _("Message text")

    @classmethod
    def private_columns(cls) -> tuple[str, ...]:
        return ("text", "shown")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(state=QueuedState.WAITING)

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(author__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(conversation=id_)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("chat.delete_queuedmessage")

    def delete_model(self, request: HttpRequest, obj: QueuedMessage) -> None:
        """Removes the message from the line, as its author would; open pages are told after the commit."""
        audit.record(request, "remove_queued_message", obj, conversation_id=obj.conversation_id)
        if waiting_line.remove_as_staff(obj.pk):
            publish = partial(async_to_sync(going_on.publish_and_go_on), obj.conversation_id)
            transaction.on_commit(publish, robust=True)

    @admin.display(description=_("Message"))
    def link(self, row: QueuedMessage) -> SafeString | str:
        return page_link("queuedmessage", row.pk)

    @admin.display(description=_("Conversation"))
    def conversation_link(self, row: QueuedMessage) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description=_("After"))
    def after_link(self, row: QueuedMessage) -> SafeString | str:
        return page_link("message", row.after_id)

    @admin.display(description=_("Text"))
    def body(self, row: QueuedMessage) -> SafeString:
        return format_html('<div class="whitespace-pre-wrap break-words">{}</div>', row.text)
