"""A member of staff who views everything of the admin."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.integration.chat.admin.staff_pages import viewer


@pytest.fixture
def sam(db: None) -> Client:
    return viewer()
