"""A member of staff who sees every figure of the dashboard."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.fixtures.people import staff_client


@pytest.fixture
def sam() -> Client:
    return staff_client(
        "view_dashboard", "view_run", "view_user", "view_dailyusage", "view_usageentry", "view_recording"
    )
