"""Presets in the admin: staff's own, and what users made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from chat.admin.library import LibraryAdmin, LibraryForm
from chat.catalog import offered_models
from chat.catalog.presets import clear_presets_cache
from chat.catalog.starters_field import StartersField
from chat.catalog.tool_choice import ToolChoice, staffs_tools
from chat.files.collections import usable_collections
from chat.models import Collection, Preset
from chat.models.presets import MAX_STARTER, MAX_STARTERS
from chat.protocol.limits import MAX_COLLECTIONS


class PresetCollections(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """The collections that a preset may have: those that the member of staff may use, and those that it has."""

    def __init__(self, user_id: Any, preset_id: str | None, **options: Any) -> None:
        self.usable = set(usable_collections(user_id).values_list("pk", flat=True))
        chosen = Q(presets=preset_id) if preset_id else Q(pk=None)
        rows = Collection.objects.filter(Q(pk__in=self.usable) | chosen).select_related("owner").distinct()
        super().__init__(rows.order_by("name"), **options)

    def label_from_instance(self, obj: Any) -> str:
        """Its name is for those who may use it."""
        if obj.pk not in self.usable:
            return gettext("%(collection)s, of %(owner)s") % {"collection": obj, "owner": obj.owner.email}
        return str(obj.name)

    def clean(self, value: Any) -> Any:
        chosen = super().clean(value)
        if len(chosen) > MAX_COLLECTIONS:
            raise forms.ValidationError(
                gettext("A preset can have at most %(most)d collections.") % {"most": MAX_COLLECTIONS}
            )
        return chosen


class PresetForm(ToolChoice, LibraryForm):
    model = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    starters = StartersField(
        required=False, strip=False, widget=UnfoldAdminTextareaWidget,
        help_text=format_lazy(
            _("Buttons in an empty conversation with this preset, one per line: at most {most}, of up to {length} "
              "characters."), most=MAX_STARTERS, length=MAX_STARTER,
        ),
    )  # fmt: skip

    class Meta:
        model = Preset
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "model" not in self.fields:  # with permission only to view, or a user's own
            return
        if "tools" in self.fields:
            self.fields["own_tools"].widget = UnfoldBooleanSwitchWidget()
            self.fields["tools"].widget = UnfoldAdminCheckboxSelectMultipleWidget()
            self.offer_tools(staffs_tools())
        offered = [(one["id"], one["label"]) for one in offered_models.offered_models()]
        own = self.instance.model
        if own and own not in dict(offered):
            offered.append((own, gettext("%(model)s – not currently offered") % {"model": own}))
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", gettext("Server default")), *offered]
        field.help_text = gettext("The models that workers currently offer.")


@admin.register(Preset)
class PresetAdmin(LibraryAdmin):
    form = PresetForm
    list_display = ("name", "made_by", "description", "shown_model", "available_to", "is_disabled", "position")
    search_fields = ("name",)
    ordering = ("position", "name")
    fieldsets = (
        (None, {"fields": ("name", "description", "system_prompt", "starters")}),
        (_("Model"), {"fields": ("model", ("temperature", "max_tokens"), "effort")}),
        (_("Tools"), {"fields": ("own_tools", "tools")}),
        (_("Knowledge"), {"fields": ("collections",)}),
        (_("Availability"), {"fields": ("enabled", "groups", "position")}),
    )
    facts = (
        *("name", "made_by", "description", "shown_model", "temperature", "max_tokens", "effort", "shown_tools"),
        *("available_to", "enabled"),
    )
    texts = ("system_prompt", "shown_starters")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "collections":
            return super().formfield_for_manytomany(db_field, request, **kwargs)
        match = request.resolver_match
        return PresetCollections(
            request.user.pk, match.kwargs.get("object_id") if match else None,
            required=False, label=_("Collections"), widget=UnfoldAdminCheckboxSelectMultipleWidget,
            help_text=_(
                "Conversations with this preset begin with them. Each user gets answers from those that are shared "
                "with a group of theirs."
            ),
        )  # fmt: skip

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        clear_presets_cache()

    def switch(self, rows: QuerySet[Any], *, disabled: bool) -> None:
        rows.filter(owner=None).update(enabled=not disabled)
        super().switch(rows.exclude(owner=None), disabled=disabled)
        clear_presets_cache()

    @admin.display(description=_("Disabled"), boolean=True)
    def is_disabled(self, row: Preset) -> bool:
        return row.disabled_by_staff or (row.owner_id is None and not row.enabled)

    @admin.display(description=_("Model"), ordering="model")
    def shown_model(self, row: Preset) -> SafeString | str:
        if not row.model:
            return gettext("Server default")
        if row.model in [one["id"] for one in offered_models.offered_models()]:
            return row.model
        gone = gettext("not currently offered")
        return format_html('{} <span class="text-red-700 dark:text-red-400">{}</span>', row.model, gone)

    @admin.display(description=_("Tools"))
    def shown_tools(self, row: Preset) -> str:
        if row.tools is None:
            return gettext("Tools that are on by default")
        return ", ".join(row.tools) or gettext("None")

    @admin.display(description=_("Starters"))
    def shown_starters(self, row: Preset) -> SafeString | str:
        return format_html('<div class="whitespace-pre-wrap break-words">{}</div>', "\n".join(row.starters) or "–")
