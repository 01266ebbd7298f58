"""The admin of judges: what they judge, with which thresholds, what follows, and a test."""

from __future__ import annotations

import uuid

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts.staff.with_test import AdminWithTest
from chat.models.moderation import Direction
from workers.models import Judge, JudgedCategory
from workers.models.judges import JUDGED_DIRECTIONS
from workers.moderation.judge_test import request_judge_test


class JudgeForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    directions = forms.MultipleChoiceField(
        choices=[(one.value, one.label) for one in JUDGED_DIRECTIONS], label=_("What it judges"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )  # fmt: skip

    class Meta:
        model = Judge
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose


class CategoryFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # as above
    def clean(self) -> None:
        super().clean()
        if any(self.errors) or not self.instance.enabled:
            return
        if not any(form.cleaned_data and not form.cleaned_data.get("DELETE") for form in self.forms):
            raise ValidationError(
                gettext("A judge without categories never matches. Add a category or disable the judge.")
            )


class CategoryInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = JudgedCategory
    formset = CategoryFormSet
    fields = ("category", "threshold", "action", "severity", "when_away")
    extra = 0
    hide_title = True
    verbose_name_plural = _("categories (others are ignored)")


@admin.register(Judge)
class JudgeAdmin(AdminWithTest):
    form = JudgeForm
    inlines = (CategoryInline,)
    list_display = ("name", "enabled", "backend", "endpoint", "model", "shown_directions", "mode", "last_test")
    list_select_related = ("endpoint",)
    list_filter = ("enabled", "backend")
    search_fields = ("name", "model")
    ordering = ("name",)
    change_form_outer_before_template = "workers/judge_test.html"
    readonly_fields = ("version", "changed_at")
    fieldsets = (
        (None, {"fields": ("name", "enabled", "backend", "endpoint", "model")}),
        (_("What it judges"), {"fields": ("directions", "mode", ("timeout", "behind_timeout"))}),
        (_("Message to the user"), {"fields": ("notice",)}),
        (_("Details"), {"fields": (("version", "changed_at"),)}),
    )

    def request_test(self, pk: uuid.UUID) -> tuple[bool, str]:
        result = request_judge_test(pk)
        return result.passed, result.message

    # --- the list ------------------------------------------------------------------------------------------------

    @admin.display(description=_("Judges"))
    def shown_directions(self, row: Judge) -> str:
        return ", ".join(str(Direction(direction).label) for direction in row.directions)
