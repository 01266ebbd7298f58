"""The admin pages of users: list, form, quotas, disabling, erasure.

Each action needs a permission, and `roles.may_manage` decides on which users it is allowed. Staff cannot give
permissions that they lack themselves, and only superusers can create superusers.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from accounts import audit, roles
from accounts.admin.filters import OnlineFilter, WaitingFilter
from accounts.admin.permission_names import NamedPermissions
from accounts.admin.raise_quotas import RaiseQuotas
from accounts.admin.resources import UserResource
from accounts.admin.user_actions import UserActions
from accounts.admin.user_forms import RIGHTS, UserForm
from accounts.admin.user_list_actions import UserListActions
from accounts.admin.user_page import describe_user, with_page_facts
from accounts.auth.proof import check_recent_proof, has_recent_proof
from accounts.auth.requests import user_of
from accounts.lib.text_search import USERS, with_words
from accounts.models import Session, User
from accounts.staff.columns import stamp
from accounts.staff.import_export import ImportExportAdmin
from accounts.staff.labels import Label
from accounts.staff.lists import QuickListAdmin
from accounts.suspension import is_suspended

# The permission to change a field. None: superusers only.
FIELDS: dict[str, str | None] = {
    "email": "accounts.change_user",
    "name": "accounts.change_user",
    "plan": "accounts.assign_plan",
    "is_staff": "accounts.assign_roles",
    "groups": "accounts.assign_roles",
    "is_superuser": None,
    "user_permissions": None,
}


@admin.register(User)
class UserAdmin(
    NamedPermissions, UserActions, UserListActions, RaiseQuotas, ImportExportAdmin, DjangoUserAdmin,  # type: ignore[type-arg]  # in the stubs only
    QuickListAdmin,
):  # fmt: skip
    resource_classes: ClassVar = [UserResource]
    form = UserForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    change_form_outer_before_template = "admin/accounts/user/person.html"
    list_display = ("email", "name", "plan", "role", "last_seen", "status", "date_joined")
    list_select_related = ("plan",)
    list_filter = (OnlineFilter, WaitingFilter, "is_active", "is_staff", "plan", "groups")
    lookups: ClassVar = frozenset(
        {
            "is_active__exact",
            "is_staff__exact",
            "plan__id__exact",
            "groups__id__exact",
            "plan__isnull",
            "groups__isnull",
        }
    )
    search_fields = ("pk",)  # shows the search box; `get_search_results` implements it
    search_help_text = _("Words or prefixes of the email address or name; or an id")
    ordering = ("-id",)  # ids are ordered by time
    sorted_by: ClassVar = {"email": "email", "date_joined": "id"}
    filter_horizontal = ("groups", "user_permissions")
    actions = ("approve_accounts", "switch_off", "switch_on", "end_sessions", "reset_periods")
    actions_list = ("invite", "raise_quotas_of_list")
    add_fieldsets = ((None, {"fields": ("email", "name", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        seen = Session.objects.filter(user=OuterRef("pk")).order_by().values("user")
        rows: QuerySet[User] = super().get_queryset(request)
        last = Subquery(seen.annotate(last=Max("last_seen_at")).values("last"))
        rows = rows.annotate(seen_at=Coalesce(last, "last_login")).prefetch_related("groups")
        match = request.resolver_match
        return with_page_facts(rows) if match is not None and match.url_name == "accounts_user_change" else rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=uuid.UUID(term)), False
        except ValueError:
            return with_words(queryset, USERS, term), False

    # --- permissions --------------------------------------------------------------------------------------------------

    def _is_for(self, request: HttpRequest, user: Model | None) -> bool:
        return not isinstance(user, User) or roles.may_manage(user_of(request), user)

    def _may_change(self, request: HttpRequest, field: str) -> bool:
        permission = FIELDS[field]
        return request.user.is_superuser or (permission is not None and request.user.has_perm(permission))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return any(self._may_change(request, field) for field in FIELDS) and self._is_for(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False  # users are erased instead, which also handles their messages in other conversations

    def has_disable_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.disable_user")

    def has_approve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.approve_user")

    def has_invite_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.invite_user")

    def has_end_sessions_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.end_sessions")

    def has_top_up_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.top_up")

    @method_decorator(sensitive_post_parameters())
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002  # Django's name
        user = self.get_object(request, unquote(id))
        if user is not None:
            if not self._may_set_password(request, user):
                raise PermissionDenied
            if not has_recent_proof(request):
                if request.method == "POST":
                    return redirect(request.path)  # the password must not wait in the session for the proof
                check_recent_proof(request)
            if request.method == "POST":
                audit.record(request, "set_password", user)
        return super().user_change_password(request, id, form_url)

    def _may_set_password(self, request: HttpRequest, user: User) -> bool:
        return self._may_change(request, "email") and self._is_for(request, user)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return tuple(field for field in FIELDS if not self._may_change(request, field)) if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        password = ("password",) if self._may_set_password(request, obj) else ()
        rights = ["is_staff", "groups"]
        if request.user.is_superuser:
            rights += ["is_superuser", "user_permissions"]
        if self._may_change(request, "groups") and self._is_for(request, obj):
            rights.append("reason")
        return (
            (None, {"fields": ("email", "name", *password)}),
            (gettext("Limits"), {"fields": ("plan",)}),
            (gettext("Permissions"), {"fields": rights}),
        )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["queryset"] = roles.grantable(user_of(request))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    # --- lists ----------------------------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    @admin.display(description=_("Role"))
    def role(self, user: User) -> str:
        if user.is_superuser:
            return gettext("superuser")
        names = sorted(group.name for group in user.groups.all())
        return ", ".join(names) if names else gettext("staff") if user.is_staff else "–"

    @admin.display(description=_("Last seen"))
    def last_seen(self, user: Any) -> Any:
        return stamp(user.seen_at, with_seconds=False)

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("Status"), label={
            "active": "success", "suspended": "warning", "disabled": "warning", "erased": "danger", "waiting": "info",
        },
    )  # fmt: skip
    def status(self, user: User) -> Label:
        if user.erase_at:
            return Label("erased", gettext("erasure scheduled"))
        if user.awaits_approval:
            return Label("waiting", gettext("awaiting approval"))
        if not user.is_active:
            return Label("disabled", gettext("disabled"))
        suspended = is_suspended(user)
        return Label("suspended", gettext("suspended")) if suspended else Label("active", gettext("active"))

    # --- one user -----------------------------------------------------------------------------------------------

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if isinstance(obj, User):
            context |= {**describe_user(user_of(request), obj), "allowed": self.allowed(request, obj)}
        kwargs["obj"] = obj
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if (RIGHTS | {"email"}) & set(form.changed_data) and change:
            check_recent_proof(request)
        changes = audit.form_changes(form)
        reason = changes.pop("reason", ("", ""))[1]
        if change:
            audit.record(request, "change", obj, changes=changes, reason=reason)
        super().save_model(request, obj, form, change)
        if not change:
            audit.record(request, "add", obj, changes=changes)
        elif "email" in form.changed_data:
            # allauth stores addresses of its own, which would still receive links to reset the password.
            EmailAddress.objects.filter(user=obj).delete()
