"""What the tests of staff's lists share."""

from __future__ import annotations

import pytest
from django.db import models
from django.test import Client

from tests.fixtures.people import staff_client


@pytest.fixture
def root() -> Client:
    return staff_client(superuser=True)


def path_of(model: type[models.Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
