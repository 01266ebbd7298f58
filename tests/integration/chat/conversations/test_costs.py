"""What an answer cost is told to whoever pays for it, and to nobody else."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from accounts.models import Plan, Price, User
from chat.conversations.snapshot import read_snapshot, read_state
from chat.models import Member, Role, RunStatus
from chat.runs.claims import claim
from chat.runs.ending import Ended, Ending, end_run
from chat.turns.accepted import Accepted
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import row, say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def answer(turn: Accepted) -> Ended:
    """Ends the run, of which a million tokens cost 1."""
    begun = row(turn.run_id).created_at
    Price.objects.create(model="", input_per_million=1, output_per_million=1, valid_from=begun - timedelta(days=1))
    assert claim(turn.run_id, "w") is not None
    ended = end_run(turn.run_id, 1, RunStatus.DONE, Ending("Yes.", input_tokens=1_000, output_tokens=500))
    assert ended is not None
    return ended


def told(ended: Ended) -> Any:
    body = json.loads(ended.event[0])
    assert body["cost"] == body["usage"]["cost"]
    return body["cost"]


def test_who_is_alone_is_told_by_the_event(alice: User) -> None:
    ended = answer(say(alice))
    assert (told(ended), ended.untold) == ("0.0015", None)


def test_of_several_only_the_payer_is_told(alice: User, bob: User) -> None:
    turn = say(alice)
    Member.objects.create(conversation_id=turn.conversation_id, user=bob, role=Role.EDITOR)
    ended = answer(turn)
    assert (told(ended), ended.untold) == (None, "0.0015")
    for reader, cost in ((alice, "0.0015"), (bob, None)):
        state = async_to_sync(read_snapshot)(turn.conversation_id, reader.pk)
        assert state.messages[-1]["run"]["usage"]["cost"] == cost
        page = logged_in(reader).get(f"/c/{turn.conversation_id}/").content.decode()
        assert ("0.0015" in page) is (cost is not None)
    shared = async_to_sync(read_state)(turn.conversation_id)  # for nobody in particular
    assert shared.messages[-1]["run"]["usage"]["cost"] is None


def test_a_site_may_show_no_costs(alice: User, settings: Any) -> None:
    settings.SHOW_COSTS = False
    turn = say(alice)
    ended = answer(turn)
    assert (told(ended), ended.untold) == (None, None)
    assert "0.0015" not in logged_in(alice).get(f"/c/{turn.conversation_id}/").content.decode()


@pytest.mark.parametrize(
    ("site", "plan", "shown"),
    [(True, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
def test_a_plan_decides_otherwise(
    alice: User, bob: User, settings: Any, site: bool, plan: bool | None, shown: bool
) -> None:
    """The plan of who asked, whether they are alone or not."""
    settings.SHOW_COSTS = site
    Plan.objects.filter(is_default=True).update(show_costs=not shown)  # of the others
    alice.plan = Plan.objects.create(name="Hers", show_costs=plan)
    alice.save()
    cost = "0.0015" if shown else None
    turn = say(alice)
    ended = answer(turn)
    assert (told(ended), ended.untold) == (cost, None)
    assert ("0.0015" in logged_in(alice).get(f"/c/{turn.conversation_id}/").content.decode()) is shown
    assert async_to_sync(read_snapshot)(turn.conversation_id, alice.pk).messages[-1]["run"]["usage"]["cost"] == cost
    turn = say(alice)
    Member.objects.create(conversation_id=turn.conversation_id, user=bob, role=Role.EDITOR)
    assert claim(turn.run_id, "w") is not None
    shared = end_run(turn.run_id, 1, RunStatus.DONE, Ending("Yes.", input_tokens=1_000, output_tokens=500))
    assert shared is not None
    assert (told(shared), shared.untold) == (None, cost)
