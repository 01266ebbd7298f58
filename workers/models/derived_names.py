"""Names in the admin that Django derives for models and fields of this app that state none.

`accounts.lib.model_names` translates them; this list is for the translation catalogues, and a test compares it with
the admin's pages.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

DERIVED_NAMES: Final = (
    gettext_noop("action"),
    gettext_noop("address"),
    gettext_noop("category"),
    gettext_noop("changed at"),
    gettext_noop("dimensions"),
    gettext_noop("directions"),
    gettext_noop("embedding models"),
    gettext_noop("enabled"),
    gettext_noop("endpoint"),
    gettext_noop("endpoints"),
    gettext_noop("extra body"),
    gettext_noop("extra query"),
    gettext_noop("fallback"),
    gettext_noop("fallback model"),
    gettext_noop("judge"),
    gettext_noop("judges"),
    gettext_noop("kind"),
    gettext_noop("label"),
    gettext_noop("least similarity"),
    gettext_noop("model"),
    gettext_noop("models"),
    gettext_noop("name"),
    gettext_noop("notice"),
    gettext_noop("passage prefix"),
    gettext_noop("position"),
    gettext_noop("question prefix"),
    gettext_noop("results"),
    gettext_noop("search provider"),
    gettext_noop("search providers"),
    gettext_noop("severity"),
    gettext_noop("threshold"),
    gettext_noop("timeout"),
    gettext_noop("use"),
    gettext_noop("version"),
    gettext_noop("when away"),
)
