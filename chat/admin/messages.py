"""Messages in the admin."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from chat.admin.base import BodyAdmin
from chat.admin.links import page_link
from chat.models import Message, Reasoning


@admin.register(Message)
class MessageAdmin(BodyAdmin):
    list_display = ("link", "conversation_link", "role", "author", "status", "created_at")
    list_display_links = None
    list_select_related = ("author",)
    list_filter = ("role",)  # filter runs by status instead, which has an index there
    lookups: ClassVar = frozenset({"role__exact", "conversation__exact", "author__exact"})
    ordering = ("-id",)  # ids are ordered by time
    sorted_by: ClassVar = {"created_at": "id"}
    search_help_text = _("Message or conversation id, or an author's email address")
    facts = ("id", "conversation_link", "parent_link", "role", "author", "status", "created_at")
    body_fields = ("reasoning", "body")
    body_title = _("Message text")

    @classmethod
    def private_columns(cls) -> tuple[str, ...]:
        return ("text", "html")

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(author__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_) | rows.filter(conversation=id_)

    @admin.display(description=_("Message"))
    def link(self, row: Message) -> SafeString | str:
        return page_link("message", row.pk)

    @admin.display(description=_("Conversation"))
    def conversation_link(self, row: Message) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description=_("Answer to"))
    def parent_link(self, row: Message) -> SafeString | str:
        return page_link("message", row.parent_id)

    @admin.display(description=pgettext_lazy("thoughts of an answer", "Thinking"))
    def reasoning(self, row: Message) -> SafeString | str:
        texts = Reasoning.objects.filter(run__message=row).values_list("text", flat=True)
        return (
            format_html('<div class="whitespace-pre-wrap break-words">{}</div>', "\n\n".join(texts)) if texts else "–"
        )

    @admin.display(description=_("Text"))
    def body(self, row: Message) -> SafeString:
        return format_html('<div class="whitespace-pre-wrap break-words">{}</div>', row.text)
