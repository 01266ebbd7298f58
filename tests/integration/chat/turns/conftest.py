"""What the tests of turns share."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync

from accounts.models import User
from chat.models import Member, Role, RunStatus
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.turns import going_on
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.run_rows import say


@pytest.fixture
def nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting lines go on when a test says so."""
    monkeypatch.setattr(going_on, "go_on_soon", lambda conversation_ids: None)


@pytest.fixture
def turn(alice: User, bob: User) -> Accepted:
    """Alice's question with its answer; Bob is an editor."""
    made = say(alice, "Which crocodile?")
    async_to_sync(announce)(made)
    Member.objects.create(conversation_id=made.conversation_id, user=bob, role=Role.EDITOR)
    assert claim(made.run_id, "w") is not None
    assert end_run(made.run_id, 1, RunStatus.DONE, Ending("The Nile crocodile.", reasoning="hmm")) is not None
    return made
