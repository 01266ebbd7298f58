"""Moderation rules in the admin. A rule that cannot be compiled is refused with the reason."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import ManyToManyField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from accounts import audit
from accounts.staff.recorded import RecordedAdmin
from chat.models import ModerationRule
from chat.models.messages import READ_TEXT
from chat.models.moderation import Direction
from chat.moderation.matching.pii import LABELS
from chat.moderation.portable import import_starter_rules
from chat.moderation.rules import check_rule, clear_rules_cache
from chat.review import dry_run


class LinesField(forms.CharField):
    """A list of strings, one a line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        if any(len(line) > 200 for line in value):
            raise ValidationError(gettext("A line can have at most 200 characters."))

    def run_validators(self, value: Any) -> None:
        pass  # they are for a string


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    directions = forms.MultipleChoiceField(
        choices=Direction.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget, label=_("Where")
    )
    pii = forms.MultipleChoiceField(
        choices=list(LABELS.items()), widget=UnfoldAdminCheckboxSelectMultipleWidget, required=False,
        label=_("Personal data"),
    )  # fmt: skip
    only_models = LinesField(
        required=False, help_text=_("Applies only to these models, one per line. None: all models.")
    )

    class Meta:
        model = ModerationRule
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def clean(self) -> dict[str, Any] | None:
        """Tries the rule as it would be."""
        cleaned = super().clean() or {}
        if not self.errors:
            names = {field.name for field in ModerationRule._meta.concrete_fields} & set(cleaned)  # noqa: SLF001
            try:
                check_rule(ModerationRule(pk=self.instance.pk, **{name: cleaned[name] for name in names}))
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
    readonly_fields = ("version", "changed_at", "shown_directions", "shown_pii")
    change_form_outer_after_template = "admin/chat/moderationrule/try.html"
    list_before_template = "admin/chat/moderationrule/starter.html"
    fieldsets = (
        (None, {"fields": ("name", "enabled", "directions", "action", ("category", "severity"))}),
        (_("What it matches"), {"fields": ("words", "disguised", "patterns", "pii", "locale")}),
        (_("Who it applies to"), {"fields": ("groups", "plans", "only_models")}),
        (_("Message to the user"), {"fields": ("notice",)}),
        (_("Details"), {"fields": ("source", ("version", "changed_at"))}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only read a rule reads words where the form has boxes to tick."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        shown = {"directions": "shown_directions", "pii": "shown_pii"}
        return [
            (title, {"fields": tuple(shown.get(one, one) if isinstance(one, str) else one for one in part["fields"])})
            for title, part in self.fieldsets
        ]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Groups and plans are stored after the rule, so only now is its new version complete."""
        super().save_related(request, form, formsets, change)
        if change and {"groups", "plans"} & set(form.changed_data):
            form.instance.save(update_fields=["version", "changed_at"])
        transaction.on_commit(clear_rules_cache)

    # --- trying, and the starter set -----------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        attempt = self.admin_site.admin_view(require_POST(self.try_out))
        starter = self.admin_site.admin_view(require_POST(self.import_starter))
        return [
            path("<uuid:rule_id>/try/", attempt, name="chat_moderationrule_try"),
            path("starter/", starter, name="chat_moderationrule_starter"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may_try = request.user.has_perm(READ_TEXT)
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "may_try": may_try}
        )
        return response

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        offer = self.has_add_permission(request) and self.has_change_permission(request)
        return super().changelist_view(request, {**(extra_context or {}), "may_import_starter": offer})

    def try_out(self, request: HttpRequest, rule_id: uuid.UUID) -> HttpResponse:
        """What the rule, as it is stored, would have found in the newest messages. Shows texts, so it is recorded."""
        if not self.has_view_permission(request) or not request.user.has_perm(READ_TEXT):
            raise PermissionDenied
        rule = get_object_or_404(ModerationRule.objects.prefetch_related("groups", "plans"), pk=rule_id)
        audit.record(request, "try_rule", rule, details=f"version {rule.version}")
        try:
            result = dry_run.try_rule(rule)
        except dry_run.QueryTimeoutError:
            said = gettext("The messages could not be read within %(seconds)d s.")
            messages.error(request, said % {"seconds": dry_run.SECONDS})
            return redirect("admin:chat_moderationrule_change", rule.pk)
        except ValueError as error:
            messages.error(request, str(error))
            return redirect("admin:chat_moderationrule_change", rule.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts, "title": gettext("Try “%(rule)s”") % {"rule": rule.name}, "rule": rule, "result": result,
            "percent": round(100 * result.right / result.judged) if result.judged else None,
            "share": round(100 * result.with_hits / result.read, 1) if result.read else 0,
        }  # fmt: skip
        return TemplateResponse(request, "admin/chat/moderation/dry_run.html", context)

    def import_starter(self, request: HttpRequest) -> HttpResponse:
        """Adds the rules that ship, switched off. Those that are there already keep what staff made of them."""
        if not (self.has_add_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        audit.record(request, "import", ModerationRule, details="starter set")
        added, known = import_starter_rules()
        said = ngettext("%(count)d rule was added, disabled.", "%(count)d rules were added, disabled.", added) % {
            "count": added
        }
        if known:
            existing = ngettext("%(count)d rule already existed.", "%(count)d rules already existed.", known)
            said = f"{said} {existing % {'count': known}}"
        messages.success(request, said)
        return redirect("admin:chat_moderationrule_changelist")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(clear_rules_cache)

    @admin.display(description=_("Where"))
    def shown_directions(self, row: ModerationRule) -> str:
        return ", ".join(str(Direction(direction).label) for direction in row.directions)

    @admin.display(description=_("Personal data"))
    def shown_pii(self, row: ModerationRule) -> str:
        return ", ".join(str(label) for kind, label in LABELS.items() if kind in row.pii)
