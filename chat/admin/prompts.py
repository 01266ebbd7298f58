"""The prompt library in the admin: staff's prompts, and what users made."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from chat.admin.library import LibraryAdmin, LibraryForm
from chat.catalog.prompt_rules import PromptRules
from chat.models import Prompt


class PromptForm(PromptRules, LibraryForm):
    class Meta:
        model = Prompt
        fields = "__all__"


@admin.register(Prompt)
class PromptAdmin(LibraryAdmin):
    form = PromptForm
    list_display = ("__str__", "title", "made_by", "available_to", "is_disabled", "updated_at")
    search_fields = ("name",)
    ordering = ("name", "pk")
    fieldsets = (
        (None, {"fields": ("name", "title", "text")}),
        (_("Availability"), {"fields": ("disabled_by_staff", "groups")}),
    )
    facts = ("name", "title", "made_by", "available_to", "updated_at")
    texts = ("shown_text",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if obj.owner_id is None:
            obj.updated_at = timezone.now()
        super().save_model(request, obj, form, change)

    @admin.display(description=_("Text"))
    def shown_text(self, row: Prompt) -> SafeString:
        return format_html('<div class="whitespace-pre-wrap break-words">{}</div>', row.text)
