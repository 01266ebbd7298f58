"""Base class for admin pages that may show what users wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts import audit
from accounts.staff.recorded import HistoryAdmin
from chat.models import Conversation

PERMISSION = "chat.read_message_body"


class BodyAdmin(HistoryAdmin):
    """A page whose `body_fields` only those with the permission get, with an entry in the audit log each time."""

    facts: ClassVar[tuple[str, ...]]
    body_fields: ClassVar[tuple[str, ...]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        deferred: QuerySet[Any] = super().get_queryset(request).defer(*self.secrets())
        return deferred

    @classmethod
    def secrets(cls) -> tuple[str, ...]:
        """The columns that hold what people and models wrote."""
        raise NotImplementedError

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        found: list[Any] = [(None, {"fields": self.facts})]
        if request.user.has_perm(PERMISSION):
            found.append(("What was written", {"fields": self.body_fields}))
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.facts + self.body_fields

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and request.user.has_perm(PERMISSION):
            conversation_id = obj.pk if isinstance(obj, Conversation) else obj.conversation_id
            audit.record(request, "read_body", obj, conversation_id=conversation_id)
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response
