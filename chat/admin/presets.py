"""Presets in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import ManyToManyField
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from accounts.staff.recorded import RecordedAdmin
from chat.catalog import offered_models
from chat.catalog.presets import clear_presets_cache
from chat.models import Preset


class PresetForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    model = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Preset
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "model" not in self.fields:  # with permission only to view
            return
        offered = [(one["id"], one["label"]) for one in offered_models.offered_models()]
        own = self.instance.model
        if own and own not in dict(offered):
            offered.append((own, f"{own} – not currently offered"))
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "Server default"), *offered]
        field.help_text = "The models that workers currently offer."


@admin.register(Preset)
class PresetAdmin(RecordedAdmin):
    form = PresetForm
    list_display = ("name", "description", "shown_model", "available_to", "enabled", "position")
    search_fields = ("name",)
    ordering = ("position", "name")
    formfield_overrides: ClassVar = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}
    fieldsets = (
        (None, {"fields": ("name", "description", "system_prompt")}),
        ("Model", {"fields": ("model", ("temperature", "max_tokens"))}),
        ("Availability", {"fields": ("enabled", "groups", "position")}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        clear_presets_cache()

    @admin.display(description="Model", ordering="model")
    def shown_model(self, row: Preset) -> SafeString | str:
        if not row.model:
            return "Server default"
        if row.model in [one["id"] for one in offered_models.offered_models()]:
            return row.model
        return format_html('{} <span class="text-red-700 dark:text-red-400">not currently offered</span>', row.model)

    @admin.display(description="Available to")
    def available_to(self, row: Preset) -> str:
        return ", ".join(group.name for group in row.groups.all()) or "Everyone"
