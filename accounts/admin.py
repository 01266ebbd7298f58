"""Staff's pages about people, their roles, and what staff did."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts import admin_users as admin_users  # registers its page
from accounts import roles
from accounts.admin_plans import RecordedAdmin
from accounts.models import AuditEntry, User
from accounts.staff import HistoryAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(HistoryAdmin):
    list_display = ("at", "actor_email", "verb", "object_type", "object_id", "conversation_id", "ip")
    lookups: ClassVar = frozenset({"conversation_id__exact"})
    ordering = ("-id",)
    fields = list_display
    search_help_text = "Staff's e-mail address, or the id of a user, message or conversation"

    def search(self, rows: QuerySet[AuditEntry], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[AuditEntry]:
        if email is not None:
            actor = User.objects.filter(email=email).values("pk")[:1]
            return rows.filter(actor__in=actor)
        return rows.filter(conversation_id=id_) | rows.filter(object_id=str(id_))


admin.site.unregister(Group)
admin.site.unregister(EmailAddress)


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """A role stays what its name says (`accounts.roles`)."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        names = {self.instance.name if self.instance.pk else "", self.cleaned_data.get("name", "")}
        excess = {one for name in names for one in roles.forbidden(name, self.cleaned_data.get("permissions", ()))}
        if excess:
            text = f"This role must never have {', '.join(sorted(excess))}. Make a group of your own for that."
            raise ValidationError({"permissions": text})
        return cleaned


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, RecordedAdmin):
    """Rights are superusers' business: whoever may edit a group could give themselves any."""

    form = GroupForm

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission
