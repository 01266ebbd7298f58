"""The admin's list of models: which are offered or hidden, why, and which groups may use them; in bulk, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import ManyToManyField, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import audit
from accounts.staff.labels import Label
from accounts.staff.recorded import RecordedAdmin
from chat.admin.known_model_filters import DecidedFilter, EndpointFilter, PriceFilter, RefusingFilter
from chat.catalog import offered_models
from chat.catalog.access import clear_rules_cache
from chat.catalog.refusals import find_refusals, forget_refusal
from chat.models import KnownModel, Visibility

SOON: Final = _("Workers apply this within seconds.")


class KnownModelForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    class Meta:
        model = KnownModel
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if cleaned.get("groups") and not cleaned.get("limited"):
            raise ValidationError({"limited": gettext("Groups are selected below. Turn this on, or select none.")})
        return cleaned


class GroupsForm(forms.Form):
    """Asks for the groups that may use the selected models."""

    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("These replace the current groups of the models."),
    )  # fmt: skip


@admin.register(KnownModel)
class KnownModelAdmin(RecordedAdmin):
    form = KnownModelForm
    list_display = ("name", "shown_label", "endpoint", "state", "reason_shown", "available_to", "default_of")
    list_filter = (DecidedFilter, EndpointFilter, RefusingFilter, PriceFilter)
    search_fields = ("name", "label")
    search_help_text = _("A part of the name")
    ordering = ("name",)
    list_per_page = 200  # a bulk edit concerns one page
    change_form_outer_after_template = "admin/chat/knownmodel/refusals.html"
    actions = ("limit_to_groups", "allow_everyone", "offer", "hide", "decide_automatically")
    formfield_overrides: ClassVar = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}
    readonly_fields = ("endpoint", "reason", "seen_at")
    fieldsets = (
        (None, {"fields": ("name", "label", "visibility")}),
        (_("Who may use it"), {"fields": ("limited", "groups")}),
        (_("Default for new conversations"), {"fields": ("default_groups", "default_plans")}),
        (_("Capabilities"), {"fields": ("sees", "thinks", "tools")}),
        (_("From its endpoint"), {"fields": ("endpoint", "reason", "seen_at")}),
    )
    _offered: frozenset[str] = frozenset()

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups", "default_groups", "default_plans")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The name of a model that an endpoint lists is the endpoint's."""
        found = super().get_readonly_fields(request, obj)
        return (*found, "name") if obj is not None else found

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) if self.has_change_permission(request) else {}

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        transaction.on_commit(clear_rules_cache)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(clear_rules_cache)

    # --- what it refuses ------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        accept = self.admin_site.admin_view(require_POST(self.try_again))
        return [path("<int:object_id>/accept/", accept, name="chat_knownmodel_accept"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {
            **(extra_context or {}),
            "refusals": find_refusals(row.name) if row else [],
            "may_forget": self.has_change_permission(request, row),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def try_again(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Forgets something that the model refused (`endpoint`, `what`), or all of it (`everything`): the next answer's
        request has it again.
        """
        row = get_object_or_404(KnownModel, pk=object_id)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        chosen = [(request.POST.get("endpoint", "")[:200], request.POST.get("what", "")[:80])]
        if "everything" in request.POST:
            chosen = [(refusal.endpoint, refusal.what) for refusal in find_refusals(row.name)]
        with transaction.atomic():
            for endpoint, what in chosen:
                audit.record(request, "forget_refusal", row, details=f"{row.name} at {endpoint}: {what}")
            known = [forget_refusal(row.name, endpoint, what) for endpoint, what in chosen]
        if any(known):
            messages.success(request, gettext("The model will be sent this again. %(soon)s") % {"soon": SOON})
        else:
            messages.error(request, gettext("This refusal is no longer stored."))
        return redirect("admin:chat_knownmodel_change", row.pk)

    # --- many at once --------------------------------------------------------------------------------------------

    @admin.action(description=_("Allow only for groups…"))
    def limit_to_groups(self, request: HttpRequest, queryset: QuerySet[KnownModel]) -> HttpResponse | None:
        """Asks for the groups on a page of its own, then sets them for all selected models."""
        form = GroupsForm(request.POST if "apply" in request.POST else None)
        if not form.is_valid():
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts, "title": gettext("Allow only for groups"), "form": form, "chosen": list(queryset),
            }  # fmt: skip
            return TemplateResponse(request, "admin/chat/knownmodel/groups.html", context)
        groups = list(form.cleaned_data["groups"])
        names = ", ".join(group.name for group in groups)
        with self._changing(request, queryset, "limit_model", names) as rows:
            for row in rows:
                row.groups.set(groups)
            KnownModel.objects.filter(pk__in=[row.pk for row in rows]).update(limited=True)
        said = ngettext(
            "%(count)d model is now only for %(groups)s.", "%(count)d models are now only for %(groups)s.", len(rows)
        )
        messages.success(request, said % {"count": len(rows), "groups": names})
        return None

    @admin.action(description=_("Allow for everyone"))
    def allow_everyone(self, request: HttpRequest, queryset: QuerySet[KnownModel]) -> None:
        with self._changing(request, queryset, "allow_model") as rows:
            KnownModel.groups.through.objects.filter(knownmodel__in=rows).delete()
            KnownModel.objects.filter(pk__in=[row.pk for row in rows]).update(limited=False)
        said = ngettext("%(count)d model is now for everyone.", "%(count)d models are now for everyone.", len(rows))
        messages.success(request, said % {"count": len(rows)})

    @admin.action(description=_("Offer"))
    def offer(self, request: HttpRequest, queryset: QuerySet[KnownModel]) -> None:
        self._decide(request, queryset, Visibility.SHOWN, "show_model")

    @admin.action(description=_("Hide from everyone"))
    def hide(self, request: HttpRequest, queryset: QuerySet[KnownModel]) -> None:
        self._decide(request, queryset, Visibility.HIDDEN, "hide_model")

    @admin.action(description=_("Decide automatically"))
    def decide_automatically(self, request: HttpRequest, queryset: QuerySet[KnownModel]) -> None:
        self._decide(request, queryset, Visibility.AUTOMATIC, "change")

    def _decide(self, request: HttpRequest, queryset: QuerySet[KnownModel], visibility: Visibility, verb: str) -> None:
        with self._changing(request, queryset, verb, visibility.name.lower()) as rows:
            KnownModel.objects.filter(pk__in=[row.pk for row in rows]).update(visibility=visibility)
        said = ngettext(
            "%(count)d model was set to “%(state)s”. %(soon)s",
            "%(count)d models were set to “%(state)s”. %(soon)s",
            len(rows),
        )
        messages.success(request, said % {"count": len(rows), "state": visibility.label, "soon": SOON})

    @contextmanager
    def _changing(
        self, request: HttpRequest, queryset: QuerySet[KnownModel], verb: str, details: str = ""
    ) -> Iterator[list[KnownModel]]:
        """The selected rows, locked for one transaction; the change of each is recorded before it happens."""
        with transaction.atomic():
            rows = list(KnownModel.objects.filter(pk__in=queryset.values("pk")).order_by("pk").select_for_update())
            for row in rows:
                audit.record(request, verb, row, details=f"{row.name}: {details}" if details else row.name)
            yield rows
            transaction.on_commit(clear_rules_cache)

    # --- the list ------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        self._offered = frozenset(one["id"] for one in offered_models.offered_models())
        return super().changelist_view(request, extra_context)

    @admin.display(description=_("Label"))
    def shown_label(self, row: KnownModel) -> str:
        return row.label or "–"

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("Offered"), label={"offered": "success", "hidden": "warning", "soon": "info", "no": "default"}
    )
    def state(self, row: KnownModel) -> Label:
        if row.visibility == Visibility.HIDDEN:
            return Label("hidden", gettext("hidden"))
        if row.name in self._offered:
            return Label("offered", gettext("offered"))
        soon = row.visibility == Visibility.SHOWN and row.reason != ""
        return Label("soon", gettext("soon")) if soon else Label("no", gettext("no"))

    @admin.display(description=_("Why not"))
    def reason_shown(self, row: KnownModel) -> str:
        if row.visibility == Visibility.HIDDEN:
            return gettext("hidden by staff")
        if row.name in self._offered:
            return ""
        return row.reason or gettext("not listed by any endpoint")

    @admin.display(description=_("Who may use it"))
    def available_to(self, row: KnownModel) -> str:
        if not row.limited:
            return gettext("Everyone")
        return ", ".join(group.name for group in row.groups.all()) or gettext("Nobody: its groups were deleted")

    @admin.display(description=_("Default of"))
    def default_of(self, row: KnownModel) -> str:
        names = [group.name for group in row.default_groups.all()]
        names += [gettext("plan %(name)s") % {"name": plan.name} for plan in row.default_plans.all()]
        return ", ".join(names)
