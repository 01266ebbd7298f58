"""Base class for admin pages that may show message text.

Message text, and titles and prompts made from it, are loaded and shown only on the page of one message or conversation,
only with the permission `chat.read_message_body` (of earlier texts `chat.read_revision`), and only after an entry in
the audit log. Lists never load them, and search never reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts import audit
from accounts.staff.recorded import HistoryAdmin
from chat.admin.people import people_of
from chat.models import Conversation
from chat.models.messages import READ_TEXT

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

PERMISSION = READ_TEXT


class BodyAdmin(HistoryAdmin):
    """A page that shows its `body_fields` only to staff with the permission, with an audit entry each time."""

    facts: ClassVar[tuple[str, ...]]
    body_fields: ClassVar[tuple[str, ...]]
    body_title: ClassVar[StrPromise]
    permission: ClassVar[str] = PERMISSION  # to read the body

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        deferred: QuerySet[Any] = super().get_queryset(request).defer(*self.private_columns())
        return deferred

    @classmethod
    def private_columns(cls) -> tuple[str, ...]:
        """The columns that hold message text, or text made from it."""
        raise NotImplementedError

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        found: list[Any] = [(None, {"fields": self.plain(self.facts)})]
        if request.user.has_perm(self.permission):
            found.append((self.body_title, {"fields": self.body_fields}))
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.plain(self.facts), *self.body_fields)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and request.user.has_perm(self.permission):
            conversation_id = obj.pk if isinstance(obj, Conversation) else obj.conversation_id
            people = people_of(obj, conversation_id)
            audit.record(request, "read_body", obj, conversation_id=conversation_id, subjects=people)
            obj.refresh_from_db(fields=obj.get_deferred_fields())  # at once, not column by column
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response
