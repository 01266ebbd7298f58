"""The admin's form of tool servers. Headers and client secrets are stored and never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from chat.catalog.tool_servers import origin_of
from chat.models import ServerAuth, ServerKind, ToolServer
from chat.models.tool_servers import check_headers


class SecretTextarea(UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold ships no types
    """A field that is never filled, not even with what was just entered, when the page is shown again with an error."""

    def format_value(self, value: Any) -> str:
        return ""


class ToolServerForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    headers = forms.CharField(
        required=False, max_length=20_000, strip=True,
        widget=SecretTextarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    client_secret = forms.CharField(
        required=False, max_length=4000, strip=True,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "off"}),
    )  # fmt: skip

    class Meta:
        model = ToolServer
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.origin_before = origin_of(self.instance.address)
        if "headers" in self.fields:
            names = ", ".join(self.instance.header_names)
            help_text = gettext(
                'A JSON object such as {"Authorization": "Bearer …"}. Stored encrypted; only the names are shown.'
            )
            if names:
                help_text = gettext(
                    "Currently set: %(names)s. A new JSON object replaces them, {} removes them. Empty: keep them."
                ) % {"names": names}
            self.fields["headers"].help_text = help_text
        if "client_secret" in self.fields and self.instance.encrypted_client_secret:
            self.fields["client_secret"].help_text = gettext(
                "A secret is stored and never shown. Leave empty to keep it."
            )
        if "kind" in self.fields and self.instance.kind != ServerKind.MCP_STDIO:
            field = self.fields["kind"]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [(one.value, str(one.label)) for one in ServerKind if one != ServerKind.MCP_STDIO]

    def clean_headers(self) -> dict[str, str] | None:
        """The new headers; None: those that are stored are kept."""
        given: str = self.cleaned_data["headers"]
        if not given:
            return None
        try:
            return check_headers(given)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if cleaned.get("groups") and not cleaned.get("limited"):
            raise ValidationError({"limited": gettext("Groups are selected below. Turn this on, or select none.")})
        moved = bool(self.origin_before) and origin_of(cleaned.get("address") or "") != self.origin_before
        # Otherwise anyone who may change a server could have its secrets sent to a server of theirs.
        if moved and self.instance.encrypted_headers and cleaned.get("headers") is None:
            said = gettext("The stored headers are for %(origin)s. Enter them again, or {} to remove them.")
            raise ValidationError({"headers": said % {"origin": self.origin_before}})
        if moved and self.instance.encrypted_client_secret and not cleaned.get("client_secret"):
            said = gettext("The stored secret is for %(origin)s. Enter it again.")
            raise ValidationError({"client_secret": said % {"origin": self.origin_before}})
        if cleaned.get("auth") == ServerAuth.HEADERS:
            given = cleaned.get("headers")
            if given == {} or (given is None and not self.instance.encrypted_headers):
                raise ValidationError({"headers": gettext("Enter the headers, or choose another way to log in.")})
        return cleaned

    @property
    def moved(self) -> bool:
        """Whether the server is another one now."""
        return bool(self.origin_before) and origin_of(self.instance.address) != self.origin_before

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data.get("headers") is not None:
            self.instance.set_headers(self.cleaned_data["headers"])
        if self.cleaned_data.get("client_secret"):
            self.instance.set_client_secret(self.cleaned_data["client_secret"])
        elif "client_id" in self.changed_data and not self.cleaned_data.get("client_id"):
            self.instance.set_client_secret("")
        self.instance.checked_at = None  # workers list it again soon
        return super().save(commit)
