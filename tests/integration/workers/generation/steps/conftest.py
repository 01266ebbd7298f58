"""A question of Alice's to a model that is offered a tool."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import know_a_tool


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "What is it?")
    await announce(turn)
    return turn
