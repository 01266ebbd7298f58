"""What the lists of the admin offer to narrow them by: each link of a filter leads to a list."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client

from tests.integration.accounts.staff.lists import path_of, root
from tests.integration.accounts.staff.test_lists import MAKERS

__all__ = ["root"]
pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_every_filter_may_be_used(root: Client, model: type[models.Model]) -> None:
    MAKERS[model](0)
    shown: Any = root.get(path_of(model))
    changes = shown.context_data.get("cl")
    for spec in changes.filter_specs if changes else ():  # two lead to pages of their own
        for choice in [one for one in spec.choices(changes) if "query_string" in one][:2]:  # "All", and the first
            assert root.get(path_of(model) + choice["query_string"]).status_code == 200, choice
