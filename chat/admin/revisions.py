"""Earlier texts of messages in the admin: of those that were edited in place or deleted."""

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
from chat.models import Revision
from chat.models.revisions import READ_REVISION


@admin.register(Revision)
class RevisionAdmin(BodyAdmin):
    """The text that a message had before, for staff with a permission of its own; each reading is recorded."""

    permission = READ_REVISION
    list_display = ("changed_at", "kind", "message_link", "changed_by")
    list_display_links = ("changed_at",)
    list_select_related = ("changed_by", "message")
    list_filter = ("kind",)
    lookups: ClassVar = frozenset({"kind__exact", "message__exact"})
    ordering = ("-changed_at",)
    search_help_text = _("Message or conversation id, or the email address of who changed it")
    facts = ("kind", "message_link", "conversation_link", "changed_by", "changed_at")
    body_fields = ("thinking", "body")
    body_title = _("The text before")

    @classmethod
    def private_columns(cls) -> tuple[str, ...]:
        return ("text", "reasoning", "message__text", "message__html")

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(changed_by__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(message=id_) | rows.filter(message__conversation=id_)

    @admin.display(description=_("Message"))
    def message_link(self, row: Revision) -> SafeString | str:
        return page_link("message", row.message_id)

    @admin.display(description=_("Conversation"))
    def conversation_link(self, row: Revision) -> SafeString | str:
        return page_link("conversation", row.conversation_id)

    @admin.display(description=pgettext_lazy("thoughts of an answer", "Thinking"))
    def thinking(self, row: Revision) -> SafeString | str:
        return _shown(row.reasoning) if row.reasoning else "–"

    @admin.display(description=_("Text"))
    def body(self, row: Revision) -> SafeString:
        return _shown(row.text)


def _shown(text: str) -> SafeString:
    return format_html('<div class="whitespace-pre-wrap break-words">{}</div>', text)
