"""Translated names of models and fields that state none, which Django derives from the names in the code."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


def translate_derived_names(app: AppConfig) -> None:
    """Replaces the derived names of an app's models and fields by lazy translations.

    Migrations do not contain derived names, so none is made by it. The catalogues get these names from the module
    `models.derived_names` of the app, because they are in no other source text.
    """
    for model in app.get_models():
        options = model._meta  # noqa: SLF001  # Django documents it
        if "verbose_name" not in options.original_attrs:
            options.verbose_name = gettext_lazy(str(options.verbose_name))
        if "verbose_name_plural" not in options.original_attrs:
            options.verbose_name_plural = gettext_lazy(str(options.verbose_name_plural))
        for field in (*options.local_fields, *options.local_many_to_many):
            if field.verbose_name == field.name.replace("_", " "):
                field.verbose_name = gettext_lazy(str(field.verbose_name))
