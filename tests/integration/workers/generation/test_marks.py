"""Combining marks of answers are bounded, also where characters that are left out stand between them."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Run
from chat.protocol.marks import MOST_MARKS
from tests.fixtures.tool_runs import ScriptedModel, says, worker_with
from tests.integration.workers.files.test_giving import ask

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]


async def test_no_answer_has_thousands_of_marks_on_a_letter(alice: User) -> None:
    turn = await ask(alice, "Hello")
    await worker_with().write(turn, ScriptedModel(says("a" + ("\u0301" * 20 + "\x00") * 100 + "b")))
    run = await in_db(Run.objects.select_related("message").get, pk=turn.run_id)
    assert run.message is not None
    assert run.message.text == "a" + "\u0301" * MOST_MARKS + "b"
