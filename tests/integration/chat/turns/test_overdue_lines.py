"""Lines that recovery finds overdue: each once, or one that waits for somebody would keep it from others for ever."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Run, RunStatus
from chat.recovery import waiting_lines
from chat.recovery.waiting_lines import recover_waiting_lines
from chat.turns.going_on import go_on
from chat.turns.line_state import overdue_lines
from tests.fixtures.run_rows import say
from tests.fixtures.waiting_rows import end, line, queue

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "layer", "no_rules", "nothing_by_itself"),
]


async def test_a_line_that_waits_on_is_looked_at_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another answer of the conversation, on another branch, has ended since: nothing is due for that."""
    monkeypatch.setattr(waiting_lines, "OVERDUE_SECONDS", 0.0)
    first = await in_db(say, alice)
    await queue(alice, first.conversation_id, "one", "two")
    await end(first.run_id, RunStatus.FAILED)
    await go_on(first.conversation_id)
    assert await in_db(overdue_lines, 0) == []
    await in_db(Run.objects.filter(pk=first.run_id).update, finished_at=Now())
    assert await in_db(overdue_lines, 0) == [first.conversation_id]
    await recover_waiting_lines()
    assert await in_db(line, first.conversation_id) == [("one", "failed"), ("two", "failed")]
    assert await in_db(overdue_lines, 0) == []
