"""The forms of endpoints and their models. Keys and headers are stored and never shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget, UnfoldBooleanWidget

from workers.models import Endpoint, EndpointModel, Use
from workers.providers.extras import read_headers
from workers.providers.kinds import KEY_HEADERS, resolve_kind


class SecretTextarea(UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold ships no types
    """A field that is never filled, not even with what was just entered, when the page is shown again with an error."""

    def format_value(self, value: Any) -> str:
        return ""


class HeadersForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """`headers` is never pre-filled. A value replaces the stored headers, of which only the names are shown."""

    headers = forms.CharField(
        label=_("Extra headers"), required=False, max_length=20_000, strip=True,
        widget=SecretTextarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "headers" in self.fields:
            names = ", ".join(self.instance.header_names)
            help_text = gettext(
                'A JSON object such as {"X-Title": "Antiphon"}. Stored encrypted; only the names are shown.'
            )
            if names:
                help_text = gettext(
                    "Currently set: %(names)s. A new JSON object replaces them, {} removes them. Empty: keep them."
                ) % {"names": names}
            self.fields["headers"].help_text = help_text

    def clean_headers(self) -> dict[str, str] | None:
        """The new headers; None: those that are stored are kept."""
        given: str = self.cleaned_data["headers"]
        if not given:
            return None
        try:
            return read_headers(given)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def save(self, commit: bool = True) -> Any:
        headers = self.cleaned_data.get("headers")
        if headers is not None:
            self.instance.set_headers(headers)
        return super().save(commit)


class EndpointForm(HeadersForm):
    """`api_key` is never pre-filled. A value replaces the stored key, which is never shown."""

    api_key = forms.CharField(
        label=_("API key"), required=False, max_length=4000, strip=True,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "off"}),
    )  # fmt: skip
    remove_key = forms.BooleanField(label=_("Remove the key"), required=False, widget=UnfoldBooleanWidget)

    class Meta:
        model = Endpoint
        fields = "__all__"  # noqa: DJ007 -- the admin's fieldsets choose

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = self.instance.base_url
        if "fallback" in self.fields and self.instance.pk:
            self.fields["fallback"].queryset = Endpoint.objects.exclude(pk=self.instance.pk)  # type: ignore[attr-defined]
        if "api_key" in self.fields:
            set_at = self.instance.key_set_at
            if set_at is None:
                help_text = gettext("Stored encrypted and never shown again. Empty: the endpoint requires no key.")
            else:
                when = date_format(timezone.localtime(set_at), "Y-m-d H:i")
                help_text = gettext("Set on %(date)s and never shown again. Leave empty to keep it.") % {"date": when}
            self.fields["api_key"].help_text = help_text

    def clean_api_key(self) -> str:
        key: str = self.cleaned_data["api_key"]
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValidationError(gettext("A key must be one line of ASCII characters without spaces."))
        return key

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        has_key = bool(self.instance.encrypted_key) and not cleaned.get("remove_key")
        kept = has_key and not cleaned.get("api_key")
        api = resolve_kind(cleaned.get("kind", ""), cleaned.get("base_url", ""))
        key_header = KEY_HEADERS.get(api, "").lower()
        sent = cleaned.get("headers")
        names = self.instance.header_names if sent is None else list(sent)
        if (has_key or cleaned.get("api_key")) and key_header in [name.lower() for name in names]:
            said = gettext("The API key is sent as %(header)s. Enter it only once.") % {"header": key_header}
            raise ValidationError({"headers": said})
        if cleaned.get("api_key") and cleaned.get("remove_key"):
            raise ValidationError({"remove_key": gettext("Enter a new key or remove the key, not both.")})
        moved = _origin(self._before) != _origin(cleaned.get("base_url", self._before))
        if kept and moved:
            # Otherwise anyone who may change an endpoint could have its key sent to a server of theirs.
            said = gettext("The stored key is for %(origin)s. Enter the key again.")
            raise ValidationError({"api_key": said % {"origin": _origin(self._before)}})
        if self.instance.encrypted_headers and sent is None and moved:
            said = gettext("The stored headers are for %(origin)s. Enter them again, or {} to remove them.")
            raise ValidationError({"headers": said % {"origin": _origin(self._before)}})
        return cleaned


def _origin(url: str) -> str:
    """Scheme, host and port: the server that a key is sent to."""
    try:
        parts = urlsplit(url.strip())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
    except ValueError:
        return ""


class ModelFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # as above
    def clean(self) -> None:
        super().clean()
        self._check_headers()
        if any(self.errors) or self.instance.use != Use.OFFERED:
            return
        kept = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        names = [entered["name"] for entered in kept]
        clash = (
            EndpointModel.objects.filter(name__in=names, endpoint__use=Use.OFFERED)
            .exclude(endpoint=self.instance.pk)
            .select_related("endpoint")
            .first()
        )
        if clash is not None:
            said = gettext(
                "The endpoint %(endpoint)s already offers %(model)s. Remove it there, or make this endpoint a fallback."
            )
            raise ValidationError(said % {"endpoint": clash.endpoint, "model": clash.name})

    def _check_headers(self) -> None:
        """A model's headers, too, are not sent to another server than the one they were entered for."""
        before = Endpoint.objects.filter(pk=self.instance.pk).values_list("base_url", flat=True).first()
        if before is None or _origin(before) == _origin(self.instance.base_url):
            return
        for form in self.forms:
            entered = getattr(form, "cleaned_data", {})
            if form.instance.encrypted_headers and entered.get("headers") is None and not entered.get("DELETE"):
                said = gettext("The stored headers of %(model)s are for %(origin)s. Enter them again.")
                raise ValidationError(said % {"model": form.instance, "origin": _origin(before)})
