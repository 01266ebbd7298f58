"""CSV columns of users, plans, quotas, prices and usage (django-import-export).

Rows are identified by an email address or a name, never by a database id. Cells that a spreadsheet would take for
formulas get an apostrophe on export, which import removes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final

from django.contrib.auth.models import Group
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.utils.translation import gettext
from import_export import fields, resources, results, widgets

from accounts import roles
from accounts.lib.streaming import FORMULA
from accounts.models import Plan, Price, Quota, UsageEntry, User

_GUARDED: Final = re.compile(rf"'*[{re.escape(''.join(FORMULA))}]")  # cells that get an apostrophe, or already have one
NUMBERS: Final = (models.DecimalField, models.IntegerField)


class Amount(widgets.Widget):  # type: ignore[misc]  # import_export ships no types
    """An exact decimal without trailing zeros."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Decimal | None:
        if value in (None, ""):
            return None
        try:
            found = Decimal(str(value).strip())
        except InvalidOperation:
            raise ValueError(gettext("“%(value)s” is not a number.") % {"value": value}) from None
        if not found.is_finite():
            raise ValueError(gettext("“%(value)s” is not a number.") % {"value": value})
        return found

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else f"{Decimal(value).normalize():f}"


class Moment(widgets.Widget):  # type: ignore[misc]  # as above
    """A time in ISO 8601; UTC if it has no offset."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> datetime | None:
        if value in (None, ""):
            return None
        try:
            found = datetime.fromisoformat(str(value).strip())
        except ValueError:
            raise ValueError(
                gettext("“%(value)s” is not a time in the form 2026-05-01T12:00:00Z.") % {"value": value}
            ) from None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Flag(widgets.Widget):  # type: ignore[misc]  # as above
    """1 or 0. Refuses other values, which import_export would read as no."""

    _known: ClassVar = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> bool:
        try:
            return bool(self._known[str(value).strip().lower()])
        except KeyError:
            raise ValueError(gettext("“%(value)s” is not 1 or 0.") % {"value": value}) from None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "1" if value else "0"


class OptionalFlag(Flag):
    """1, 0, or nothing, which is neither."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        return super().clean(value, row, **kwargs) if str(value).strip() else None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else super().render(value, obj, **kwargs)


class Named(widgets.Widget):  # type: ignore[misc]  # as above
    """A related row by its name."""

    def __init__(self, model: type[models.Model], field: str) -> None:
        super().__init__()
        self.model, self.field = model, field

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> models.Model | None:
        name = str(value or "").strip()
        if not name:
            return None
        found = self.model._default_manager.filter(**{f"{self.field}__iexact": name}).first()  # noqa: SLF001  # Django documents it
        if found is None:
            kind = self.model._meta.verbose_name  # noqa: SLF001  # as above
            raise ValueError(gettext("“%(name)s” does not exist (%(kind)s).") % {"kind": kind, "name": name})
        return found

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else str(getattr(value, self.field))


_WIDGETS: Final = (
    (models.DecimalField, Amount),
    (models.DateTimeField, Moment),
    (models.BooleanField, Flag),
)


class QuietError(results.Error):  # type: ignore[misc]  # as above
    """An error without its traceback."""

    @property
    def traceback(self) -> str:
        return ""


class PlainResource(resources.ModelResource):  # type: ignore[misc]  # as above
    """Base class. `actor` is the user who imports: they may change no more by a file than in a form."""

    def __init__(self, actor: User | None = None) -> None:
        super().__init__()
        self.actor = actor

    @classmethod
    def widget_from_django_field(cls, f: Any, default: Any = widgets.Widget) -> Any:
        found = next((widget for kind, widget in _WIDGETS if isinstance(f, kind)), None)
        if found is Flag and f.null:
            return OptionalFlag
        return found or super().widget_from_django_field(f, default)

    @classmethod
    def get_error_result_class(cls) -> type[QuietError]:
        return QuietError

    def columns(self) -> list[str]:
        """The columns that a file may have, including read-only ones, so that an exported file can be imported."""
        return [field.column_name for field in self.fields.values()]

    def keys(self) -> list[str]:
        return [self.fields[name].column_name for name in self.get_import_id_fields()]

    def export_field(self, field: Any, instance: Any, **kwargs: Any) -> str:
        cell = super().export_field(field, instance, **kwargs)
        text = "" if cell is None else str(cell)
        return f"'{text}" if self._is_text(field) and _GUARDED.match(text) else text

    def before_import_row(self, row: Any, **kwargs: Any) -> None:
        for field in self.get_import_fields():
            cell = row.get(field.column_name)
            if not isinstance(cell, str) or not self._is_text(field):
                continue
            if cell.startswith(FORMULA):
                why = gettext("%(column)s: “%(cell)s” looks like a formula. Put a ' before it to keep it as text.")
                raise ValidationError(why % {"column": field.column_name, "cell": cell[:40]})
            if _GUARDED.match(cell):
                row[field.column_name] = cell[1:]

    def _is_text(self, field: Any) -> bool:
        try:
            kind = self._meta.model._meta.get_field(field.attribute)  # noqa: SLF001  # Django documents it
        except FieldDoesNotExist:  # an annotation
            return True
        return not isinstance(kind, NUMBERS)


class _Meta:
    clean_model_instances = True
    skip_unchanged = True
    report_skipped = True
    use_transactions = True


class UserResource(PlainResource):
    """Imports neither permissions nor passwords. New users set a password with “Forgot password?”."""

    plan = fields.Field("plan", "plan", Named(Plan, "name"))
    groups = fields.Field("groups", "groups", readonly=True)

    class Meta(_Meta):
        model = User
        fields = export_order = import_order = (
            "email", "name", "plan", "is_active", "is_staff", "groups", "date_joined", "last_login",
        )  # fmt: skip
        import_id_fields = ("email",)

    def get_import_fields(self) -> list[Any]:
        return [self.fields[name] for name in ("email", "name", "plan")]

    def dehydrate_groups(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    def before_import_row(self, row: Any, **kwargs: Any) -> None:
        super().before_import_row(row, **kwargs)
        row["email"] = str(row.get("email") or "").strip().lower()

    def after_init_instance(self, instance: User, new: bool, row: Any, **kwargs: Any) -> None:
        if new:
            instance.set_unusable_password()
        elif self.actor is None or not roles.may_manage(self.actor, instance):
            raise ValidationError(gettext("You don't have permission to change %(email)s.") % {"email": instance.email})

    def import_instance(self, instance: User, row: Any, **kwargs: Any) -> None:
        before = instance.plan_id
        super().import_instance(instance, row, **kwargs)
        if instance.plan_id != before and not (self.actor and self.actor.has_perm("accounts.assign_plan")):
            raise ValidationError({"plan": gettext("You don't have permission to change users' plans.")})


class PlanResource(PlainResource):
    class Meta(_Meta):
        model = Plan
        exclude = ("id",)
        import_id_fields = ("name",)


class QuotaResource(PlainResource):
    """A quota is identified by its owner, unit, period and model, and whether it is shared."""

    plan = fields.Field("plan", "plan", Named(Plan, "name"))
    group = fields.Field("group", "group", Named(Group, "name"))
    user = fields.Field("user", "user", Named(User, "email"))

    class Meta(_Meta):
        model = Quota
        exclude = ("id",)
        import_id_fields = ("plan", "group", "user", "model", "unit", "period", "shared")


class PriceResource(PlainResource):
    class Meta(_Meta):
        model = Price
        exclude = ("id",)
        import_id_fields = ("endpoint", "model", "valid_from")


class UsageResource(PlainResource):
    """Export only: usage is recorded by runs and recordings."""

    email = fields.Field("email", "email", readonly=True)

    class Meta(_Meta):
        model = UsageEntry
        exclude = ("user",)
