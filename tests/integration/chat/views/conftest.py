"""Ann and her browser."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import make_user
from tests.fixtures.people import logged_in


@pytest.fixture
def ann(db: None) -> User:
    return make_user("Ann")


@pytest.fixture
def browser(ann: User) -> Client:
    return logged_in(ann)
