"""A question of Alice's, for the tests of recovery, and no outage that an earlier test has seen."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.recovery import reaper
from chat.turns.accepted import Accepted
from tests.fixtures.run_rows import say


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    return await in_db(say, alice)


@pytest.fixture(autouse=True)
def no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has seen of PostgreSQL does not concern the next one."""
    monkeypatch.setattr(reaper._Outage, "seen_at", float("-inf"))
