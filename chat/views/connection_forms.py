"""The form of a user's own tool server."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.catalog.tool_servers import origin_of
from chat.models import ServerAuth, ServerKind, ToolServer


class OwnServerForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """`token` is never pre-filled. A value replaces the stored one."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[(one.value, one.label) for one in ServerKind if one != ServerKind.MCP_STDIO],
    )
    auth = forms.ChoiceField(
        label=gettext_lazy("Log-in"),
        choices=[
            (ServerAuth.NONE.value, gettext_lazy("None")),
            (ServerAuth.OAUTH.value, gettext_lazy("I log in at the server (OAuth)")),
            (ServerAuth.HEADERS.value, gettext_lazy("A token that I enter here")),
        ],
    )
    token = forms.CharField(
        label=gettext_lazy("Token"), required=False, max_length=4000, strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
    )  # fmt: skip

    class Meta:
        model = ToolServer
        fields = ("title", "kind", "address", "document_address", "auth")
        labels = {  # noqa: RUF012  # Django reads it once
            "title": gettext_lazy("Name"),
            "address": gettext_lazy("Address"),
            "document_address": gettext_lazy("Address of the OpenAPI document"),
        }
        help_texts = {  # noqa: RUF012  # as above
            "address": gettext_lazy("For example https://example.com/mcp."),
            "document_address": gettext_lazy("Only for an HTTP API."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = self.instance.address
        self.fields["token"].help_text = _("Stored encrypted and never shown again.")
        if self.instance.encrypted_headers:
            self.fields["token"].help_text = _("A token is stored. Leave empty to keep it.")

    def clean_token(self) -> str:
        token: str = self.cleaned_data["token"]
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ValidationError(_("A token must be one line of ASCII characters without spaces."))
        return token

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        auth, address = cleaned.get("auth"), cleaned.get("address") or cleaned.get("document_address") or ""
        if auth != ServerAuth.NONE and not address.strip().lower().startswith("https://"):
            raise ValidationError({"address": _("A log-in or a token is only sent to an address with https://.")})
        stored = self.instance.encrypted_headers
        moved = bool(self._before) and origin_of(self._before) != origin_of(address)
        if auth == ServerAuth.HEADERS and not cleaned.get("token") and (moved or not stored):
            raise ValidationError({"token": _("Enter the token for this address.")})
        if self.instance._state.adding:  # noqa: SLF001  # Django documents it
            owned = ToolServer.objects.filter(owner=self.instance.owner).count()
            if owned >= settings.TOOL_SERVERS_PER_USER:
                raise ValidationError(_("You have the maximum number of servers. Delete one first."))
            short = slugify(cleaned.get("title", ""))[:40].strip("-") or "server"
            self.instance.slug = f"{short}-{secrets.token_hex(4)}".replace("_", "-")
        return cleaned

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data["auth"] != ServerAuth.HEADERS:
            self.instance.set_headers({})
        elif self.cleaned_data["token"]:
            self.instance.set_headers({"Authorization": f"Bearer {self.cleaned_data['token']}"})
        self.instance.checked_at = None  # it is listed again soon
        return super().save(commit)
