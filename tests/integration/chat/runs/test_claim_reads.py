"""What a claim reads in its one round trip: the run, the branch that it answers, the version of its tools."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import User
from chat.models import KnownTool, Run, RunStatus
from chat.runs.claims import Claim, claim
from chat.runs.context import CHARACTERS_PER_TOKEN
from chat.runs.ending import Ending, end_run
from chat.runs.tools_version import tools_version
from tests.fixtures.run_rows import say
from tests.fixtures.tool_rows import OWNER, add_calls

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True, params=[True, False], ids=["prepared", "plain"])
def _prepared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedStatement, "enabled", request.param)


def answered(user: User, *texts: str, answer: str = "answer") -> uuid.UUID:
    """The last run, queued, of a conversation in which the others have been answered."""
    conversation: uuid.UUID | None = None
    *before, last = texts
    for text in before:
        turn = say(user, text, conversation)
        conversation = turn.conversation_id
        assert claim(turn.run_id, OWNER) is not None
        end_run(turn.run_id, 1, RunStatus.DONE, Ending(answer))
    return say(user, last, conversation).run_id


def claimed(run_id: uuid.UUID, window: int | None = None) -> Claim:
    found = claim(run_id, OWNER, lambda model: window)
    assert found is not None
    return found


def test_a_claim_is_one_round_trip(alice: User) -> None:
    KnownTool.objects.create(name="calculate", title="Calculator")
    claimed(answered(alice, "prepares the statements"))
    run_id = answered(alice, "one", "two", "three")
    with CaptureQueriesContext(connection) as queries:
        found = claimed(run_id)
    assert len(queries) == 1
    assert [text for _, text in found.path] == ["one", "answer", "two", "answer", "three"]
    assert found.tools_version == tools_version(alice.pk)


def test_a_claim_that_comes_too_late_reads_nothing(alice: User) -> None:
    KnownTool.objects.create(name="calculate", title="Calculator")
    run_id = answered(alice, "one")
    claimed(run_id)
    with CaptureQueriesContext(connection) as queries:
        assert claim(run_id, "another") is None
    assert len(queries) <= 3 + 1  # three are prepared at most


@pytest.mark.parametrize(("window", "messages"), [(None, 3), (100, 3), (1000, 5)])
def test_a_large_window_is_filled_and_a_small_one_is_not(
    alice: User, settings: Any, window: int | None, messages: int
) -> None:
    """The statement does not know the window: where it has left out what fits, the branch is read again."""
    settings.MODEL_CONTEXT_TOKENS = 100
    size = 100 * CHARACTERS_PER_TOKEN // 2
    run_id = answered(alice, "one " * (size // 4), "two " * (size // 4), "three", answer="words " * (size // 6))
    found = claimed(run_id, window)
    assert len(found.path) == messages
    assert found.path[-1] == ("user", "three")
    assert found.older == 5 - messages


def test_without_tools_no_version_is_read(alice: User) -> None:
    assert claimed(answered(alice, "one")).tools_version is None
    KnownTool.objects.create(name="calculate", title="Calculator", enabled=False)
    assert claimed(answered(alice, "two")).tools_version is None


def test_a_run_with_steps_asks_for_its_tools_itself(alice: User) -> None:
    """It goes on after a wait, so that whoever asked may not use them any more (`workers.tools.registry`)."""
    KnownTool.objects.create(name="calculate", title="Calculator")
    run_id = answered(alice, "one")
    first = claimed(run_id)
    assert first.tools_version is not None
    add_calls(first.run)
    Run.objects.filter(pk=run_id).update(status=RunStatus.QUEUED)
    assert claimed(run_id).tools_version is None
