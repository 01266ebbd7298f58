"""Names that Django derives for models and fields of this app that state none, for the translation catalogues.

`accounts.lib.model_names` translates them; a test compares this list with the models.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

DERIVED_NAMES: Final = (
    gettext_noop("action"),
    gettext_noop("address"),
    gettext_noop("category"),
    gettext_noop("changed at"),
    gettext_noop("created at"),
    gettext_noop("directions"),
    gettext_noop("enabled"),
    gettext_noop("encrypted headers"),
    gettext_noop("encrypted key"),
    gettext_noop("endpoint"),
    gettext_noop("endpoints"),
    gettext_noop("extra body"),
    gettext_noop("extra query"),
    gettext_noop("fallback"),
    gettext_noop("fallback model"),
    gettext_noop("header names"),
    gettext_noop("hidden models"),
    gettext_noop("id"),
    gettext_noop("judge"),
    gettext_noop("judges"),
    gettext_noop("key set at"),
    gettext_noop("kind"),
    gettext_noop("label"),
    gettext_noop("measured at"),
    gettext_noop("model"),
    gettext_noop("model fact"),
    gettext_noop("model facts"),
    gettext_noop("model windows"),
    gettext_noop("models"),
    gettext_noop("name"),
    gettext_noop("notice"),
    gettext_noop("position"),
    gettext_noop("ratios"),
    gettext_noop("refused"),
    gettext_noop("results"),
    gettext_noop("search provider"),
    gettext_noop("search providers"),
    gettext_noop("severity"),
    gettext_noop("shown models"),
    gettext_noop("test passed"),
    gettext_noop("test said"),
    gettext_noop("tested at"),
    gettext_noop("threshold"),
    gettext_noop("timeout"),
    gettext_noop("use"),
    gettext_noop("version"),
    gettext_noop("when away"),
    gettext_noop("window"),
    gettext_noop("window at"),
)
