"""Moderation rules in the admin. A rule that cannot be compiled is refused with the reason."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ManyToManyField
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from accounts.staff.recorded import RecordedAdmin
from chat.models import ModerationRule
from chat.models.moderation import Direction
from chat.moderation.matching.pii import LABELS
from chat.moderation.rules import check_rule, clear_rules_cache


class LinesField(forms.CharField):
    """A list of strings, one a line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        if any(len(line) > 200 for line in value):
            raise ValidationError("A line has at most 200 characters.")

    def run_validators(self, value: Any) -> None:
        pass  # they are for a string


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    directions = forms.MultipleChoiceField(
        choices=Direction.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget, label="Where"
    )
    pii = forms.MultipleChoiceField(
        choices=list(LABELS.items()), widget=UnfoldAdminCheckboxSelectMultipleWidget, required=False,
        label="Personal data",
    )  # fmt: skip
    only_models = LinesField(required=False, help_text="Only with these models, one a line. None: all.")

    class Meta:
        model = ModerationRule
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def clean(self) -> dict[str, Any] | None:
        """Tries the rule as it would be."""
        cleaned = super().clean() or {}
        if not self.errors:
            names = {field.name for field in ModerationRule._meta.concrete_fields} & set(cleaned)  # noqa: SLF001
            try:
                check_rule(ModerationRule(**{name: cleaned[name] for name in names}))
            except ValueError as error:
                raise ValidationError(str(error)) from None
        return cleaned


@admin.register(ModerationRule)
class ModerationRuleAdmin(RecordedAdmin):
    form = RuleForm
    list_display = ("name", "enabled", "action", "category", "severity", "shown_directions", "version", "changed_at")
    list_filter = ("enabled", "action", "category", "severity")
    search_fields = ("name",)
    ordering = ("name",)
    formfield_overrides: ClassVar = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}
    readonly_fields = ("version", "changed_at")
    fieldsets = (
        (None, {"fields": ("name", "enabled", "directions", "action", ("category", "severity"))}),
        ("What is searched for", {"fields": ("words", "disguised", "patterns", "pii", "locale")}),
        ("Whom it concerns", {"fields": ("groups", "plans", "only_models")}),
        ("What the person reads", {"fields": ("notice",)}),
        ("About this rule", {"fields": ("source", ("version", "changed_at"))}),
    )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Groups and plans are stored after the rule, so only now is its new version complete."""
        super().save_related(request, form, formsets, change)
        if change and {"groups", "plans"} & set(form.changed_data):
            form.instance.save(update_fields=["version", "changed_at"])
        transaction.on_commit(clear_rules_cache)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(clear_rules_cache)

    @admin.display(description="Where")
    def shown_directions(self, row: ModerationRule) -> str:
        return ", ".join(Direction(direction).label for direction in row.directions)
