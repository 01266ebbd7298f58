"""Staff's pages about people: who they are, switching them off, ending their sessions, and what staff did."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import admin_plans as admin_plans  # registers its pages
from accounts import audit
from accounts.models import AuditEntry, Session, User
from accounts.revocation import end_all_sessions
from accounts.staff import HistoryAdmin, QuickListAdmin
from accounts.staff_filters import OnlineFilter

RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(User)
class UserAdmin(DjangoUserAdmin, QuickListAdmin):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """Who may change whom: superusers all, other staff only people who are not staff, and nobody's rights."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = (OnlineFilter, "is_active", "is_staff")
    lookups: ClassVar = frozenset({"is_active__exact", "is_staff__exact"})
    search_fields = ("email",)
    search_help_text = "E-mail address"
    ordering = ("-id",)  # ids are ordered by time
    readonly_fields = ("live_sessions", "date_joined", "last_login")
    filter_horizontal = ("groups", "user_permissions")
    actions = ("switch_off", "end_sessions")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("State", {"fields": ("is_active", "live_sessions", "date_joined", "last_login")}),
        ("Limits", {"fields": ("plan",)}),
        ("Rights", {"fields": RIGHTS}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "password1", "password2")}),)

    def _is_for(self, request: HttpRequest, user: Model | None) -> bool:
        assert isinstance(request.user, User)  # staff pages are behind a login
        return request.user.is_superuser or not isinstance(user, User) or not user.is_staff

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_for(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_for(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        fixed = tuple(super().get_readonly_fields(request, obj))
        return fixed if request.user.is_superuser else fixed + RIGHTS

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)  # one at a time, on the person's own page
        return found

    @admin.display(description="Live sessions")
    def live_sessions(self, user: User) -> int:
        return Session.objects.filter(user=user, expire_date__gt=timezone.now()).count()

    @admin.action(description="Switch off (ends every session)", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in self._chosen(request, queryset.filter(is_active=True)):
            audit.record(request, "switch_off", user)
            user.is_active = False
            user.save(update_fields=["is_active"])
            self.log_change(request, user, "Switched off.")

    @admin.action(description="End every session", permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in self._chosen(request, queryset):
            audit.record(request, "end_sessions", user)
            end_all_sessions(user)

    def _chosen(self, request: HttpRequest, queryset: QuerySet[User]) -> list[User]:
        """Those whom this member of staff may touch; nobody switches themselves off by mistake."""
        users = list(queryset)
        chosen = [user for user in users if user.pk != request.user.pk and self._is_for(request, user)]
        messages.success(request, f"Done for {len(chosen)} of {len(users)}.")
        return chosen

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "email" in form.changed_data:
            # allauth keeps addresses of its own, which would go on receiving links to reset the password.
            EmailAddress.objects.filter(user=obj).delete()


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


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, QuickListAdmin):
    """Rights are superusers' business: whoever may edit a group could give themselves any."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission
