"""The admin of judges: what they judge, with which thresholds, what follows, and a test."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import audit
from accounts.staff.labels import TEST_COLOURS, Label, test_label
from accounts.staff.recorded import RecordedAdmin
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
class JudgeAdmin(RecordedAdmin):
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

    # --- the test ------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(require_POST(self.test_judge))
        return [path("<uuid:object_id>/test/", test, name="workers_judge_test"), *super().get_urls()]

    def test_judge(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponseBase:
        """Has a worker ask the saved judge about two sentences, and shows what it says."""
        if not (self.has_view_permission(request) and request.user.has_perm("workers.test_judge")):
            raise PermissionDenied
        judge = get_object_or_404(Judge, pk=object_id)
        audit.record(request, "test", judge)
        if not connection.in_atomic_block:
            connection.close()  # it is not needed while this waits for the worker
        result = request_judge_test(judge.pk)
        Judge.objects.filter(pk=judge.pk).update(
            tested_at=timezone.now(), test_passed=result.passed, test_said=result.message
        )
        return redirect("admin:workers_judge_change", judge.pk)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {**(extra_context or {}), "may_test": request.user.has_perm("workers.test_judge")}
        return super().changeform_view(request, object_id, form_url, context)

    # --- the list ------------------------------------------------------------------------------------------------

    @admin.display(description=_("Judges"))
    def shown_directions(self, row: Judge) -> str:
        return ", ".join(str(Direction(direction).label) for direction in row.directions)

    @display(description=_("Last test"), label=TEST_COLOURS)  # type: ignore[untyped-decorator]
    def last_test(self, row: Judge) -> Label:
        return test_label(row.tested_at, row.test_passed)
