"""A question of Alice's, for the tests of recovery."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.turns.accepted import Accepted
from tests.fixtures.run_rows import say


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    return await in_db(say, alice)
