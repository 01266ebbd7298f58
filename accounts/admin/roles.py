"""The admin page of roles (groups)."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts import roles
from accounts.admin.permission_names import NamedPermissions
from accounts.staff.recorded import RecordedAdmin

admin.site.unregister(Group)
admin.site.unregister([EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken])  # secrets, and no work


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """Refuses permissions that a role must never have (`accounts.roles`)."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        names = {self.instance.name if self.instance.pk else "", self.cleaned_data.get("name", "")}
        excess = {one for name in names for one in roles.forbidden(name, self.cleaned_data.get("permissions", ()))}
        if excess:
            text = gettext("This role must never have the permissions %(names)s. Create a separate group for them.")
            raise ValidationError({"permissions": text % {"names": ", ".join(sorted(excess))}})
        return cleaned


@admin.register(Group)
class GroupAdmin(NamedPermissions, DjangoGroupAdmin, RecordedAdmin):  # type: ignore[misc]  # a default of the stubs
    """Only superusers edit groups, since anybody who may edit them could get any permission."""

    form = GroupForm

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A new group starts with what ordinary users may do."""
        given: dict[str, Any] = super().get_changeform_initial_data(request)
        return {"permissions": [one.pk for one in roles.ordinary_permissions()]} | given

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission
