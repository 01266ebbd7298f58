"""The devices that get notifications, in the admin: listed, and removed one by one. No page shows their endpoints."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.models import User
from accounts.staff.recorded import HistoryAdmin
from chat.models import PushSubscription


@admin.register(PushSubscription)
class NotifiedDeviceAdmin(HistoryAdmin):
    list_display = ("device", "host", "user", "with_text", "failures", "created_at", "sent_at")
    list_select_related = ("user",)
    lookups: ClassVar = frozenset({"user__exact"})
    ordering = ("-id",)
    search_help_text = _("Device id, or a user's email address")
    fields = ("id", "user", "device", "host", "with_text", "failures", "retry_at", "created_at", "sent_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).defer("endpoint", "p256dh", "auth")
        return rows

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(user__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The model's own permission, which administrators have."""
        return bool(request.user.has_perm("chat.delete_pushsubscription"))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        audit.record(request, "delete", obj)
        obj.delete()
