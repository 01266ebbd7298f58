"""The names, help texts and labels of models and of the admin are translations, evaluated where they are shown."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.functional import Promise

import config.urls  # noqa: F401  # registers the admin's pages
from workers.providers.kinds import KIND_NAMES

APPS = ("accounts", "chat", "workers")
SAME_EVERYWHERE = {
    "Brave Search API",
    "Tavily",
    *(name for key, name in KIND_NAMES.items() if key != "openai_chat"),
}  # products
WORD = re.compile(r"[A-Za-z]{2,}")


def own_models() -> list[type[models.Model]]:
    return [model for app in APPS for model in apps.get_app_config(app).get_models()]


def own_fields() -> Iterator[tuple[str, Any]]:
    for model in own_models():
        for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
            if not field.auto_created:  # Django names it
                yield f"{model._meta.label}.{field.name}", field


def own_pages() -> list[Any]:
    """The admin pages of our models, and their inlines."""
    pages = [page for page in admin.site._registry.values() if page.model._meta.app_label in APPS]
    return [*pages, *(inline(page.model, admin.site) for page in pages for inline in page.inlines)]


def is_marked(text: Any) -> bool:
    return isinstance(text, Promise) or not WORD.search(str(text or ""))


def test_fields() -> None:
    unmarked = [
        f"{name}: {part}"
        for name, field in own_fields()
        for part, text in (("name", field._verbose_name), ("help text", field.help_text))
        if not is_marked(text)
    ]
    assert not unmarked, "\n".join(unmarked)


def test_every_name_is_translated_where_it_is_shown() -> None:
    """Also those that Django derives (`accounts.lib.model_names`)."""
    assert [name for name, field in own_fields() if not isinstance(field.verbose_name, Promise)] == []
    for model in own_models():
        assert isinstance(model._meta.verbose_name, Promise), model
        assert isinstance(model._meta.verbose_name_plural, Promise), model


def test_names_of_models() -> None:
    unmarked = [
        f"{model.__name__}: {option}"
        for model in own_models()
        for option in ("verbose_name", "verbose_name_plural")
        if not is_marked(model._meta.original_attrs.get(option))
    ]
    assert not unmarked, "\n".join(unmarked)


def test_names_begin_in_lower_case() -> None:
    """Django capitalises them where a sentence or label begins. Abbreviations stay."""
    shown = [str(field.verbose_name) for _, field in own_fields()]
    shown += [
        str(name) for model in own_models() for name in (model._meta.verbose_name, model._meta.verbose_name_plural)
    ]
    assert [name for name in shown if name[:1].isupper() and not name[:2].isupper()] == []


def test_choices() -> None:
    unmarked = [
        f"{name}: {label}"
        for name, field in own_fields()
        for _, label in field.choices or getattr(getattr(field, "base_field", None), "choices", None) or ()
        if not is_marked(label) and label not in SAME_EVERYWHERE
    ]
    assert not unmarked, "\n".join(unmarked)


def test_messages_of_constraints() -> None:
    for model in own_models():
        for constraint in model._meta.constraints:
            said = constraint.violation_error_message
            assert said == constraint.default_violation_error_message or isinstance(said, Promise), constraint.name


def shown_fields(page: Any) -> set[str]:
    found = set(flatten([*page.readonly_fields, *(page.fields or ())]))
    found |= {name for name in getattr(page, "list_display", ()) if isinstance(name, str)}
    found |= {
        one[0] if isinstance(one, tuple) else one
        for one in getattr(page, "list_filter", ())
        if not isinstance(one, type)
    }
    found |= set(flatten_fieldsets(page.fieldsets or ()))
    found |= {*getattr(page, "facts", ()), *getattr(page, "body_fields", ())}
    if not page.fields and not page.fieldsets:
        found |= {one.name for one in page.model._meta.get_fields() if getattr(one, "editable", False)}
    return found


@pytest.mark.parametrize("app", APPS)
def test_derived_names_are_in_the_list_for_the_catalogues(app: str) -> None:
    """`models.derived_names` has the derived names that admin pages show, and no others."""
    needed: set[str] = set()
    for page in own_pages():
        options = page.model._meta
        if options.app_label != app:
            continue
        needed |= {
            str(getattr(options, name))
            for name in ("verbose_name", "verbose_name_plural")
            if name not in options.original_attrs
        }
        for name in shown_fields(page):
            if callable(getattr(page, name, None)) and name != "model":
                continue
            try:
                field: Any = options.get_field(name)
            except FieldDoesNotExist:
                continue
            if getattr(field, "_verbose_name", "") is None:
                needed.add(str(field.verbose_name))
    listed = importlib.import_module(f"{app}.models.derived_names").DERIVED_NAMES
    assert set(listed) == needed
    assert list(listed) == sorted(listed)


def test_texts_of_admin_pages() -> None:
    unmarked = []
    for page in own_pages():
        name = type(page).__name__
        unmarked += [
            f"{name}.{one}" for one in ("search_help_text", "body_title") if not is_marked(getattr(page, one, ""))
        ]
        unmarked += [f"{name}: {title}" for title, _ in page.fieldsets or () if not is_marked(title)]
        unmarked += [
            f"{name}.{one.__name__}"
            for _, one in inspect.getmembers(type(page), inspect.isfunction)
            if one.__module__.startswith(APPS)
            and not is_marked(getattr(one, "short_description", ""))
            and one.__name__ != "action_checkbox"  # its heading is a box
        ]
        for one in getattr(page, "list_filter", ()):
            if isinstance(one, type) and not is_marked(getattr(one, "title", "")):
                unmarked.append(one.__name__)
        form = getattr(page, "form", None)
        for label, field in getattr(form, "declared_fields", {}).items():
            if not (is_marked(field.label) and is_marked(field.help_text)):
                unmarked.append(f"{name}.{label}")
    assert not unmarked, "\n".join(unmarked)
