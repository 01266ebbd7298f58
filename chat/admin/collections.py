"""Collections of files in the admin: whose they are, who can use them. Names need the permission to read texts."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import audit
from accounts.lib.formatting import file_size
from accounts.models import User
from accounts.staff.columns import read_once
from accounts.staff.recorded import IdOrEmailSearch, RecordedAdmin
from chat.admin.base import PERMISSION
from chat.admin.filters import PeriodFilter
from chat.admin.links import link, page_link
from chat.conversations.file_removal import remove_collection
from chat.files.collections import Readiness, readiness_of
from chat.models import Collection


class CollectionForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """Staff say with whom a collection is shared: with groups of its owner."""

    class Meta:
        model = Collection
        fields = ("groups",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "groups" in self.fields:
            field = self.fields["groups"]
            assert isinstance(field, forms.ModelMultipleChoiceField)
            field.queryset = Group.objects.filter(user=self.instance.owner_id).order_by("name")
            field.help_text = gettext("Groups of its owner whose members can use it. None: only its owner.")
            field.widget = UnfoldAdminCheckboxSelectMultipleWidget(choices=field.choices)


@admin.register(Collection)
class CollectionAdmin(IdOrEmailSearch, RecordedAdmin):
    """People's collections. Staff share them otherwise, and delete them; reading a name is in the audit log."""

    form = CollectionForm
    list_display = ("link", "owner", "file_count", "size", "shared_with", "created_at")
    list_display_links = None
    list_select_related = ("owner",)
    list_filter = (PeriodFilter,)
    ordering = ("-created_at",)
    search_help_text = _("A collection's id, or its owner's email address")
    facts: ClassVar = ("id", "owner", "readiness", "size", "files_link", "chosen", "created_at")
    texts: ClassVar = ("name", "description")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related("owner").prefetch_related("groups")
        counted: QuerySet[Any] = rows.annotate(file_count=Count("files"), total_size=Sum("files__blob__size"))
        return counted

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found: list[Any] = [(None, {"fields": self.facts})]
        if request.user.has_perm(PERMISSION):
            found.append((gettext("Name"), {"fields": self.texts}))
        return [*found, (gettext("Shared with"), {"fields": ("groups",)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.facts, *self.texts)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and request.user.has_perm(PERMISSION):
            audit.record(request, "read_body", obj)
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response

    def delete_model(self, request: HttpRequest, obj: Collection) -> None:
        """Deletes a collection with its files, for its owner, too."""
        audit.record(request, "delete_collection", obj)
        remove_collection(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Collection]) -> None:
        for collection in queryset:
            self.delete_model(request, collection)

    def search(self, rows: QuerySet[Any], *, id_: uuid.UUID | None, email: str | None) -> QuerySet[Any]:
        if email is not None:
            return rows.filter(owner__in=User.objects.filter(email=email).values("pk"))
        return rows.filter(pk=id_)

    @admin.display(description=_("Collection"))
    def link(self, row: Collection) -> SafeString | str:
        return page_link("collection", row.pk)

    @admin.display(description=_("Files"))
    def file_count(self, row: Any) -> int:
        return int(row.file_count)

    @admin.display(description=_("Size"))
    def size(self, row: Any) -> str:
        return file_size(row.total_size or 0)

    @admin.display(description=_("Shared with"))
    def shared_with(self, row: Collection) -> str:
        return ", ".join(group.name for group in row.groups.all()) or gettext("The owner")

    @admin.display(description=_("Files read"))
    def readiness(self, row: Collection) -> str:
        found: Readiness = read_once(row, "readiness", lambda: readiness_of([row.pk]).get(row.pk, Readiness()))
        said = gettext("%(ready)d of %(files)d ready, %(failed)d not readable")
        return said % {"ready": found.ready, "files": found.files, "failed": found.failed}

    @admin.display(description=_("Chosen by"))
    def chosen(self, row: Any) -> str:
        counts: dict[str, int] = read_once(row, "chosen", lambda: {
            "conversations": row.conversations.count(), "presets": row.presets.count(),
        })  # fmt: skip
        return gettext("%(conversations)d conversations, %(presets)d presets") % counts

    @admin.display(description=_("Its files"))
    def files_link(self, row: Collection) -> SafeString | str:
        return link(f"{reverse('admin:chat_file_changelist')}?collection__exact={row.pk}", gettext("List"))
