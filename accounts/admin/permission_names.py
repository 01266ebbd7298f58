"""Permissions in the reader's language. Their rows have the names in English, as `migrate` writes them."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Permission
from django.utils.translation import gettext, gettext_noop

# What Django gives every model, by the beginning of its codename.
_USUAL: Final = {
    "add": gettext_noop("Can add: %(model)s"),
    "change": gettext_noop("Can change: %(model)s"),
    "delete": gettext_noop("Can delete: %(model)s"),
    "view": gettext_noop("Can view: %(model)s"),
}


def permission_name(permission: Permission) -> str:
    """The model's name where the permission is one that every model has, else the name of its own, which is marked."""
    kind = permission.content_type
    action, _sep, model = permission.codename.partition("_")
    if model == kind.model and action in _USUAL:
        return gettext(_USUAL[action]) % {"model": kind.name}
    return f"{kind.name}: {gettext(permission.name)}"


class NamedPermissions(ModelAdmin):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """An admin page that offers permissions."""

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.remote_field.model is Permission:
            field.label_from_instance = permission_name
        return field
