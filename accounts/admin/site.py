"""The admin page of the site's settings: one row, which is made when it is first opened."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.lib import colours
from accounts.lib.images import read_image_info
from accounts.models import SiteSettings
from accounts.models.site import Feature
from accounts.site import DARK, LIGHT, logo_hash, on_accent
from accounts.staff.recorded import RecordedAdmin

MOST_LOGO_BYTES: Final = 256 * 2**10
MOST_LOGO_PIXELS: Final = 2_000  # wide or high
MOST_STARTERS: Final = 8
MOST_STARTER: Final = 300
MOST_LINKS: Final = 6
LOGO_NOW: Final = ("shown_logo", "remove_logo")


class SiteForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """Lists are written as lines; the logo is a file that is checked and kept in the row."""

    logo_file = forms.FileField(
        label=_("Logo"), required=False, widget=UnfoldAdminFileFieldWidget,
        help_text=_("PNG, JPEG or WebP, at most 256 KB and 2,000 pixels wide and high. It is shown 24 pixels high."),
    )  # fmt: skip
    remove_logo = forms.BooleanField(label=_("Remove the logo"), required=False, widget=UnfoldBooleanWidget)
    starter_lines = forms.CharField(
        label=_("Starters"), required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 5}),
        help_text=_("Offered in a new conversation, one per line, at most 8. Empty: the usual ones."),
    )  # fmt: skip
    off_features = forms.MultipleChoiceField(
        label=_("Switched off"),
        required=False,
        choices=Feature.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_(
            "Applies to everybody within a second. What is switched off is refused with an explanation, and hidden "
            "from pages when they are next loaded; what was made before stays. Calls have no switch of their own, "
            "since they need recorded voice. Tools have theirs on their page. To switch something off for some people "
            "only, set a limit of 0 in their plan."
        ),
    )
    link_lines = forms.CharField(
        label=_("Legal links"), required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("Below the log-in and the settings, one per line: Privacy | https://example.org/privacy"),
    )  # fmt: skip

    class Meta:
        model = SiteSettings
        fields = (
            "name", "accent", "accent_dark", "banner", "banner_kind", "welcome", "terms", "terms_version",
            "maintenance", "maintenance_text",
        )  # fmt: skip
        widgets = {  # noqa: RUF012  # Django reads it once
            "accent": UnfoldAdminTextInputWidget(attrs={"placeholder": "#3a4fa3"}),
            "accent_dark": UnfoldAdminTextInputWidget(attrs={"placeholder": "#aab8f2"}),
        }
        help_texts = {  # noqa: RUF012  # as above
            "accent": _("Of links and buttons, such as #3a4fa3. Empty: the usual blue."),
            "accent_dark": _("Empty: the colour above, brighter until it can be read."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["starter_lines"].initial = "\n".join(self.instance.starters)
        self.fields["off_features"].initial = self.instance.off
        self.fields["link_lines"].initial = "\n".join(" | ".join(one) for one in self.instance.legal_links)

    def clean_accent(self) -> str:
        return _checked(self.cleaned_data["accent"], LIGHT, "light", (0.0, 0.0, 0.0))

    def clean_accent_dark(self) -> str:
        return _checked(self.cleaned_data["accent_dark"], DARK, "dark", (1.0, 1.0, 1.0))

    def clean_logo_file(self) -> Any:
        file: Any = self.cleaned_data["logo_file"]
        if not file:
            return None
        if (file.size or 0) > MOST_LOGO_BYTES:
            raise forms.ValidationError(_("This file is too large: at most 256 KB."))
        data = file.read()
        info = read_image_info(data)
        if info is None:
            raise forms.ValidationError(_("This is no PNG, JPEG or WebP image. SVG is not taken: it can hold scripts."))
        if not 0 < info.width <= MOST_LOGO_PIXELS or not 0 < info.height <= MOST_LOGO_PIXELS:
            raise forms.ValidationError(
                _("This image has %(width)s × %(height)s pixels: at most 2,000 × 2,000."),
                params={"width": info.width, "height": info.height},
            )
        self.instance.logo, self.instance.logo_type = data, info.type
        return file

    def clean_starter_lines(self) -> str:
        lines = _lines(self.cleaned_data["starter_lines"])
        if len(lines) > MOST_STARTERS:
            raise forms.ValidationError(
                _("At most %(most)s starters; these are %(count)s."),
                params={"most": MOST_STARTERS, "count": len(lines)},
            )
        if any(len(line) > MOST_STARTER for line in lines):
            raise forms.ValidationError(_("A starter has at most %(most)s characters."), params={"most": MOST_STARTER})
        self.instance.starters = lines
        return "\n".join(lines)

    def clean_off_features(self) -> list[str]:
        chosen = self.cleaned_data["off_features"]
        off = [name for name in Feature.values if name in chosen]
        self.instance.off = off
        return off

    def clean_link_lines(self) -> str:
        links = [[part.strip() for part in line.split("|", 1)] for line in _lines(self.cleaned_data["link_lines"])]
        if len(links) > MOST_LINKS:
            raise forms.ValidationError(
                _("At most %(most)s links; these are %(count)s."), params={"most": MOST_LINKS, "count": len(links)}
            )
        for link in links:
            if len(link) != 2 or not link[0] or not _is_address(link[1]):
                line = " | ".join(link)
                raise forms.ValidationError(
                    _("“%(line)s” is not a title, a | and an address that begins with https://, http:// or /."),
                    params={"line": line},
                )
        self.instance.legal_links = links
        return "\n".join(" | ".join(link) for link in links)

    def clean_terms_version(self) -> int:
        version: int = self.cleaned_data["terms_version"]
        before = SiteSettings.objects.filter(pk=1).values_list("terms_version", flat=True).first() or 0
        if version < before:
            raise forms.ValidationError(
                _("Version %(before)s has been asked for already: the next is %(next)s."),
                params={"before": before, "next": before + 1},
            )
        return version

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.cleaned_data.get("accent_dark") and not self.cleaned_data.get("accent"):
            self.add_error("accent_dark", _("Choose a colour for the light theme, too."))
        if self.cleaned_data.get("remove_logo") and not self.cleaned_data.get("logo_file"):
            self.instance.logo, self.instance.logo_type = None, ""
        return cleaned


def _checked(text: str, backgrounds: list[colours.RGB], theme: str, towards: colours.RGB) -> str:
    text = text.strip().lower()
    if not text:
        return ""
    try:
        colour = colours.parse_colour(text)
    except ValueError:
        raise forms.ValidationError(_("Write a colour such as #3a4fa3.")) from None
    found = colours.least_contrast(colour, backgrounds)
    if found < colours.TEXT_CONTRAST:
        near = colours.write_colour(colours.readable(colour, backgrounds, towards))
        raise forms.ValidationError(
            (
                _("In the light theme its contrast is %(found)s; text needs %(needed)s. %(near)s has enough.")
                if theme == "light"
                else _("In the dark theme its contrast is %(found)s; text needs %(needed)s. %(near)s has enough.")
            ),
            params={"found": f"{found:.1f}", "needed": colours.TEXT_CONTRAST, "near": near},
        )
    if colours.contrast(on_accent(colour), colour) < colours.TEXT_CONTRAST:
        raise forms.ValidationError(_("Neither white nor black can be read on it, as on buttons."))
    return text


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if any(character.isspace() for character in text):
        return False
    is_path = text.startswith("/") and not text.startswith(("//", "/\\"))
    return is_path or (parts.scheme in ("https", "http") and bool(parts.hostname))


@admin.register(SiteSettings)
class SiteSettingsAdmin(RecordedAdmin):
    """Opens the row's page at once."""

    form = SiteForm
    fieldsets = (
        (
            _("Name and looks"),
            {"fields": ("name", "logo_file", LOGO_NOW, ("accent", "accent_dark"))},
        ),
        (_("Maintenance"), {"fields": ("maintenance", "maintenance_text")}),
        (_("Features"), {"fields": ("off_features",)}),
        (_("Words"), {"fields": (("banner", "banner_kind"), "welcome", "starter_lines")}),
        (_("Legal"), {"fields": ("terms", "terms_version", "link_lines")}),
    )
    readonly_fields = ("shown_logo",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without a logo there is none to show or to remove."""
        sets = super().get_fieldsets(request, obj)
        if obj is not None and obj.logo:
            return sets
        return [
            (name, {**options, "fields": tuple(row for row in options["fields"] if row != LOGO_NOW)})
            for name, options in sets
        ]

    @admin.display(description=_("Logo now"))
    def shown_logo(self, row: SiteSettings) -> SafeString | str:
        if not row.logo:
            return "–"
        return format_html('<img src="/site/logo/{}" alt="" height="24">', logo_hash(bytes(row.logo)))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        SiteSettings.objects.get_or_create(pk=1)
        response: HttpResponse = self.change_view(request, "1", extra_context=extra_context)
        return response

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
