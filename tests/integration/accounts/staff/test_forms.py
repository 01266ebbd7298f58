"""Staff's forms: three fields in one row are too narrow for what they hold and for their help; their labels, and the
line above that says whose form it is.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.test import RequestFactory
from django.utils.text import capfirst

from accounts.models import User
from tests.fixtures.people import logged_in, make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_(rf: RequestFactory) -> Any:
    request = rf.get("/admin/")
    request.user = make_staff(superuser=True)
    return request


def forms(request: Any) -> dict[str, Any]:
    """The admin of each model that has something to fill in, by the model's name."""
    found = {
        model.__name__: site
        for model, site in admin.site._registry.items()
        if site.has_add_permission(request) or site.has_change_permission(request)
    }
    assert "Preset" in found
    return found


def test_no_row_has_more_than_two_fields_to_fill_in(request_: Any) -> None:
    wide = []
    for name, site in forms(request_).items():
        read_only = site.get_readonly_fields(request_)
        rows = [row for _, options in site.get_fieldsets(request_) for row in options["fields"]]
        filled = [[field for field in row if field not in read_only] for row in rows if isinstance(row, list | tuple)]
        wide += [(name, row) for row in filled if len(row) > 2]
    assert wide == []


def test_every_label_begins_with_a_capital(request_: Any) -> None:
    small = [
        (name, field)
        for name, site in forms(request_).items()
        for field, made in site.get_form(request_).base_fields.items()
        if made.label and made.label != capfirst(made.label)
    ]
    assert small == []


@pytest.mark.usefixtures("clean_redis")
def test_a_row_is_named_as_it_is_written(alice: User) -> None:
    """Addresses and titles are not given a capital letter, as names of models are."""
    html = logged_in(make_staff(superuser=True)).get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    line = re.search(r"<h1.*?</h1>", html, re.DOTALL)
    assert line
    assert [one.strip() for one in re.findall(r">\s*([^<>]+?)\s*</a", line[0])] == [
        "Accounts",
        "Users",
        "alice@example.org",
    ]
