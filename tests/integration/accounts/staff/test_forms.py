"""Staff's forms: three fields in one row are too narrow for what they hold and for their help."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db import models
from django.test import RequestFactory
from django.utils.text import capfirst

from tests.fixtures.people import make_staff


@pytest.mark.django_db
def test_no_row_has_more_than_two_fields_to_fill_in(rf: RequestFactory) -> None:
    request = rf.get("/admin/")
    request.user = make_staff(superuser=True)
    assert admin.site._registry
    wide = [found for model, site in admin.site._registry.items() for found in wide_rows(request, model, site)]
    assert wide == []


@pytest.mark.django_db
def test_every_label_begins_with_a_capital(rf: RequestFactory) -> None:
    request = rf.get("/admin/")
    request.user = make_staff(superuser=True)
    small = [
        (model.__name__, name)
        for model, site in admin.site._registry.items()
        for name, field in site.get_form(request).base_fields.items()
        if field.label and field.label != capfirst(field.label)
    ]
    assert small == []


def wide_rows(request: Any, model: type[models.Model], site: Any) -> list[tuple[str, tuple[str, ...]]]:
    if not site.has_add_permission(request) and not site.has_change_permission(request):
        return []  # facts to read need less room
    read_only = site.get_readonly_fields(request)
    rows = [row for _, options in site.get_fieldsets(request) for row in options["fields"]]
    filled = [tuple(name for name in row if name not in read_only) for row in rows if not isinstance(row, str)]
    return [(model.__name__, row) for row in filled if len(row) > 2]
