"""The admin of search providers: their address, key, price and test. Keys are never shown."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanWidget

from accounts import audit
from accounts.lib.encryption import UnreadableError
from accounts.staff.with_test import AdminWithTest
from workers.models import SearchKind, SearchProvider
from workers.models.search import note_search_tool
from workers.tools.search.search_test import request_search_test

NEEDS_KEY = (SearchKind.BRAVE, SearchKind.TAVILY)


class SearchProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """`api_key` is never pre-filled. A value replaces the stored key, which is never shown."""

    api_key = forms.CharField(
        label=_("API key"), required=False, max_length=4000, strip=True,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "off"}),
        help_text=_("Stored encrypted and never shown again. Leave empty to keep it."),
    )  # fmt: skip
    remove_key = forms.BooleanField(label=_("Remove the key"), required=False, widget=UnfoldBooleanWidget)

    class Meta:
        model = SearchProvider
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = self.instance.url if self.instance.name else ""

    def clean_api_key(self) -> str:
        key: str = self.cleaned_data["api_key"]
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValidationError(gettext("A key must be one line of ASCII characters without spaces."))
        return key

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's hook; it sets the instance's fields
        if self.errors:
            return
        entered = self.cleaned_data.get("api_key")
        stored = self.instance.encrypted_key and not self.cleaned_data.get("remove_key")
        if entered and self.cleaned_data.get("remove_key"):
            self.add_error("remove_key", gettext("Enter a new key or remove the key, not both."))
        elif stored and not entered and self._before and self._before != self.instance.url:
            # Otherwise anyone who may change a provider could have its key sent to a server of theirs.
            self.add_error("api_key", gettext("The stored key is for another address. Enter the key again."))
        elif self.instance.kind in NEEDS_KEY and not entered and not stored:
            self.add_error("api_key", gettext("This service needs a key."))


@admin.register(SearchProvider)
class SearchProviderAdmin(AdminWithTest):
    form = SearchProviderForm
    list_display = ("name", "enabled", "kind", "key", "price", "position", "last_test")
    list_filter = ("enabled", "kind")
    search_fields = ("name",)
    ordering = ("position", "name")
    change_form_outer_before_template = "workers/search_test.html"
    fieldsets = (
        (None, {"fields": ("name", "enabled", "kind", "address", "api_key", "remove_key")}),
        (
            _("Searches"),
            {
                "fields": (
                    ("results", "price"),
                    "position",
                )
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """View-only staff see whether there is a key. The field to remove a key is shown only when there is one."""
        [(title, options), *others] = super().get_fieldsets(request, obj)
        hidden = set() if self._may_write(request, obj) else {"api_key", "remove_key"}
        if obj is None or not obj.encrypted_key:
            hidden.add("remove_key")
        fields = [name for name in options["fields"] if name not in hidden]
        return [(title, {**options, "fields": [*fields, *(["key"] if "api_key" in hidden else [])]}), *others]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_readonly_fields(request, obj) if self._may_write(request, obj) else ("key",)

    def _may_write(self, request: HttpRequest, obj: SearchProvider | None) -> bool:
        if obj is None:
            return bool(self.has_add_permission(request))
        return bool(self.has_change_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if form.cleaned_data.get("api_key"):
            audit.record(request, "set_key", obj)
            obj.set_key(form.cleaned_data["api_key"])
        elif form.cleaned_data.get("remove_key"):
            audit.record(request, "remove_key", obj)
            obj.set_key("")
        super().save_model(request, obj, form, change)
        transaction.on_commit(note_search_tool)  # the web can be searched from now on, or no longer

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(note_search_tool)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        transaction.on_commit(note_search_tool)

    def request_test(self, pk: uuid.UUID) -> tuple[bool, str]:
        result = request_search_test(pk)
        return result.passed, result.message

    @method_decorator(sensitive_post_parameters())
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        return super().changeform_view(request, object_id, form_url, extra_context)

    # --- the list ------------------------------------------------------------------------------------------------

    @admin.display(description=_("Key"))
    def key(self, row: SearchProvider) -> str:
        if row.key_set_at is None:
            return gettext("none")
        try:
            row.read_key()
        except UnreadableError:
            return gettext("cannot be decrypted: enter it again")
        return gettext("set on %(date)s") % {"date": date_format(timezone.localtime(row.key_set_at), "Y-m-d")}
