"""Ratings: one of each member and answer, changed and undone; staff see figures by model."""

from __future__ import annotations

import json
import uuid

import pytest

from accounts.models import User
from chat.conversations.rating import rate
from chat.models import Member, Rating, Role, RunStatus
from chat.portability.export import export_user_data
from chat.protocol.commands import parse_command
from chat.protocol.errors import Busy, Invalid, NotFound
from chat.protocol.reading import MessageRate
from chat.retention.erasure import erase
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from tests.conftest import make_user
from tests.fixtures.people import logged_in, staff_client
from tests.fixtures.run_rows import row, say
from tests.integration.chat.turns.test_turns import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def turn(alice: User, bob: User) -> Accepted:
    """Alice's question with its answer; Bob may only read."""
    made = say(alice, "Which crocodile?")
    Member.objects.create(conversation_id=made.conversation_id, user=bob, role=Role.VIEWER)
    assert claim(made.run_id, "w") is not None
    assert end_run(made.run_id, 1, RunStatus.DONE, Ending("The Nile crocodile.")) is not None
    return made


def test_one_of_each_member_and_answer_changed_and_undone(turn: Accepted, alice: User, bob: User) -> None:
    answer = row(turn.run_id).message_id
    at_once(*[lambda: rate(alice.pk, answer, 1, "Good")] * 5)
    rate(bob.pk, answer, -1, "Wrong\x00 ")
    rate(alice.pk, answer, -1)
    found = list(Rating.objects.order_by("user__name").values_list("user__name", "value", "note", "model"))
    model = row(turn.run_id).model
    assert found == [("Alice", -1, "", model), ("Bob", -1, "Wrong", model)]
    rate(alice.pk, answer, 0, "not kept")
    rate(alice.pk, answer, 0)
    assert Rating.objects.get().user == bob


def test_what_cannot_be_rated(turn: Accepted, alice: User, mallory: User) -> None:
    answer = row(turn.run_id).message_id
    with pytest.raises(Invalid):
        rate(alice.pk, turn.message_id, 1)
    for unknown in (answer, uuid.uuid4()):
        with pytest.raises(NotFound):
            rate(mallory.pk, unknown, 1)
    Member.objects.filter(user=alice).delete()
    with pytest.raises(NotFound):  # a conversation that was left
        rate(alice.pk, answer, 1)
    writing = say(mallory)
    with pytest.raises(Busy):
        rate(mallory.pk, row(writing.run_id).message_id, 1)


@pytest.mark.parametrize("fields", [{"value": 2}, {"value": True}, {}, {"value": 1, "note": "x" * 1_001}])
def test_the_command_has_bounds(fields: dict[str, object]) -> None:
    frame = {"type": "message.rate", "message_id": str(uuid.uuid4()), **fields}
    with pytest.raises(Invalid):
        parse_command(json.dumps(frame))
    good = parse_command(json.dumps({**frame, "value": 0, "note": "why"}))
    assert isinstance(good, MessageRate)


def test_ones_own_rating_is_on_the_page_and_in_the_export_and_erased(turn: Accepted, alice: User, bob: User) -> None:
    answer = row(turn.run_id).message_id
    rate(bob.pk, answer, -1, "Wrong")
    data = json.loads("".join(export_user_data(bob)))
    assert [(one["message_id"], one["value"], one["note"]) for one in data["ratings"]] == [(str(answer), -1, "Wrong")]
    url = f"/c/{turn.conversation_id}/"
    assert 'data-rated="-1"' in logged_in(bob).get(url).content.decode()
    assert 'data-rated="-1"' not in logged_in(alice).get(url).content.decode()
    erase(bob)
    assert not Rating.objects.exists()


def test_staff_see_ratings_and_figures_by_model(turn: Accepted, alice: User, bob: User) -> None:
    answer = row(turn.run_id).message_id
    rate(alice.pk, answer, 1)
    rate(bob.pk, answer, -1, "Wrong")
    assert logged_in(make_user("Rita")).get("/admin/chat/rating/").status_code == 302  # no staff
    staff = staff_client("view_rating")
    page = staff.get("/admin/chat/rating/").content.decode()
    assert "Wrong" in page
    assert "50" in page  # per cent are good
    User.objects.get(email="sam@example.org").user_permissions.clear()
    assert staff.get("/admin/chat/rating/").status_code == 403
