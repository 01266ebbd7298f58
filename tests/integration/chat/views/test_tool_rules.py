"""How often tools ask in a conversation, and the limits of its answers with tools: read and changed over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Plan, User
from chat.models import Conversation, Member, Role
from chat.runs.approval_facts import read_approval_facts
from chat.runs.claims import claim
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model")]


@pytest.fixture
def conversation(alice: User, bob: User) -> Conversation:
    made = Conversation.objects.create(title="x")
    Member.objects.create(conversation=made, user=alice, role=Role.OWNER)
    Member.objects.create(conversation=made, user=bob, role=Role.VIEWER)
    Plan.objects.update(tool_steps=12, tool_seconds=900, tool_tokens=None, tool_cost=Decimal("0.50"))
    return made


def path(conversation: Conversation) -> str:
    return f"/c/{conversation.pk}/tools/rules/"


def test_they_are_read_changed_and_given_back(
    alice: User, bob: User, mallory: User, conversation: Conversation
) -> None:
    client, where = logged_in(alice), path(conversation)
    nothing = dict.fromkeys(("steps", "seconds", "tokens", "cost"))
    plan = {"steps": 12, "seconds": 900, "tokens": None, "cost": "0.5"}
    assert client.get(where).json() == {"approval": "", "limits": nothing, "plan": plan, "may_change": True}
    shown = client.post(where, {"approval": "always", "steps": "3", "cost": " 0.0250 "}).json()
    assert (shown["approval"], shown["limits"]) == ("always", nothing | {"steps": 3, "cost": "0.025"})
    seen = logged_in(bob).get(where).json()
    assert (seen["approval"], seen["may_change"]) == ("always", False)
    assert logged_in(bob).post(where, {"approval": ""}).status_code == 403
    assert logged_in(mallory).get(where).status_code == 404
    shown = client.post(where, {"steps": ""}).json()
    assert (shown["approval"], shown["limits"]) == ("always", nothing | {"cost": "0.025"})


@pytest.mark.parametrize(
    "given",
    [{}, {"approval": "never"}, {"steps": "-1"}, {"steps": "1.5"}, {"steps": "many"}, {"seconds": "0"}, {"cost": "NaN"},
     {"cost": "Infinity"}, {"cost": "0"}, {"cost": "0.0000001"}, {"tokens": "1e99"}, {"tokens": "9" * 500}, {"x": "1"}],
)  # fmt: skip
def test_what_is_no_rule_is_refused(alice: User, conversation: Conversation, given: dict[str, Any]) -> None:
    answer = logged_in(alice).post(path(conversation), given)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    conversation.refresh_from_db()
    assert (conversation.tool_approval, conversation.tool_limits) == ("", {})


def test_they_count_for_the_next_answer(alice: User, conversation: Conversation) -> None:
    rules = {"approval": "ask", "steps": "2", "seconds": "5000", "tokens": "1000", "cost": "0.125"}
    logged_in(alice).post(path(conversation), rules)
    claimed = claim(say(alice, "Do it", conversation.pk).run_id, "w")
    assert claimed is not None
    limits = claimed.tools
    assert (limits.steps, limits.seconds, limits.tokens, limits.cost) == (2, 900, 1000, Decimal("0.125"))
    assert read_approval_facts(alice.pk, conversation.pk).conversation == "ask"
