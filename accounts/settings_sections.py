"""The sections of a person's settings. Other apps add theirs when they are ready."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

ORDER: Final = (
    "general",
    "appearance",
    "models",
    "files",
    "knowledge",
    "voice",
    "notifications",
    "data",
    "account",
    "security",
    "sessions",
    "keys",
)


@dataclass(frozen=True, slots=True)
class Section:
    """`view`: the URL name of the section's own page. `pages`: those of the pages that lie below it."""

    name: str  # of `ORDER`
    title: StrOrPromise
    view: str
    pages: tuple[str, ...] = ()


_sections: dict[str, Section] = {}


def register_settings_section(section: Section) -> None:
    """Adds a section. It replaces one of the same name."""
    _sections[section.name] = section


def add_settings_pages(name: str, *pages: str) -> None:
    """Puts pages of another app below a section."""
    section = _sections[name]
    _sections[name] = replace(section, pages=(*section.pages, *pages))


def settings_sections() -> list[Section]:
    """All sections, in the order in which they are shown."""
    return [_sections[name] for name in ORDER if name in _sections]


def section_of(view: str) -> Section | None:
    """The section that a page belongs to, by its URL name."""
    return next((one for one in settings_sections() if view == one.view or view in one.pages), None)


for _one in (
    Section("general", gettext_lazy("General"), "account_settings"),
    Section("appearance", gettext_lazy("Appearance"), "account_settings_appearance"),
    Section(
        "account", gettext_lazy("Account"), "account_settings_account",
        ("account_email", "account_change_password", "account_delete"),
    ),
    Section(
        "security", gettext_lazy("Security"), "account_settings_security",
        (
            "mfa_activate_totp", "mfa_deactivate_totp", "mfa_add_webauthn", "mfa_edit_webauthn", "mfa_remove_webauthn",
            "mfa_view_recovery_codes", "mfa_generate_recovery_codes",
        ),
    ),
    Section("sessions", gettext_lazy("Devices"), "account_settings_sessions"),
):  # fmt: skip
    register_settings_section(_one)
