"""A conversation of 200 members costs the database no more statements than one of two, and each notice comes once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chat.conversations import members
from chat.conversations.changing import notify_members
from chat.conversations.directory import MOST_FOUND, find_people
from chat.conversations.listing import read_listing
from chat.models import Conversation, Member, Role
from chat.notifications.marks import read_marks
from chat.protocol.limits import MAX_FRAME_BYTES
from chat.realtime.presence import users
from tests.fixtures.asking import logged, send, share
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "one_model")]


@pytest.fixture(autouse=True)
def _directory(settings: Any) -> None:
    settings.PEOPLE_DIRECTORY = True


Act = Callable[[User, Conversation, User], object]


def add(alice: User, conversation: Conversation, bob: User) -> None:
    person, _ = User.objects.get_or_create(email="carol@example.org", name="Carol")
    members.add_member(alice.pk, conversation.pk, person.email, "viewer")
    members.remove_member(alice.pk, conversation.pk, person.pk)


def change_roles(alice: User, conversation: Conversation, bob: User) -> None:
    for role in ("viewer", "editor"):
        members.change_role(alice.pk, conversation.pk, bob.pk, role)


ACTS: dict[str, Act] = {
    "add and remove": add,
    "change a role": change_roles,
    "list": lambda alice, conversation, _bob: members.list_members(alice.pk, conversation.pk),
    "panel": lambda alice, conversation, _bob: logged_in(alice).get(f"/c/{conversation.pk}/members/"),
    "search": lambda alice, conversation, _bob: find_people(alice.pk, conversation.pk, "Person"),
    "one's list": lambda alice, _conversation, _bob: read_listing(alice.pk, zone=ZoneInfo("UTC")),
    "marks": lambda _alice, conversation, _bob: read_marks([conversation.pk]),
    "notify": lambda _alice, conversation, _bob: notify_members(conversation, renamed=True),
    "mention": lambda _alice, conversation, bob: send(bob, "@Alice hello", conversation),
}


def crowd(conversation: Conversation, size: int) -> list[User]:
    made = User.objects.bulk_create(User(email=f"p{n}@example.org", name=f"Person {n}") for n in range(size))
    Member.objects.bulk_create(Member(conversation=conversation, user=one, role=Role.VIEWER) for one in made)
    return made


def statements(act: Act, *given: Any) -> int:
    act(*given)  # what is read once for the process
    with CaptureQueriesContext(connection) as queries:
        act(*given)
    return len(queries)


@pytest.mark.parametrize("name", ACTS)
def test_200_members_take_as_many_statements_as_two(alice: User, bob: User, name: str) -> None:
    conversation = share(alice, bob)
    few = statements(ACTS[name], alice, conversation, bob)
    crowd(conversation, 197)
    assert statements(ACTS[name], alice, conversation, bob) == few


def test_frames_of_200_members_fit(alice: User, bob: User) -> None:
    conversation = share(alice, bob)
    made = crowd(conversation, 198)
    User.objects.filter(pk__in=[one.pk for one in made]).update(name="é" * 60)
    members.change_role(alice.pk, conversation.pk, bob.pk, "viewer")
    event = logged(conversation)[-1]
    assert len(event["members"]) == 200
    assert len(json.dumps(event, ensure_ascii=False).encode()) < MAX_FRAME_BYTES
    present = users([f"{one.pk}:{n}:{'é' * 60}".encode() for n, one in enumerate(made)])
    assert len(json.dumps({"users": present}, ensure_ascii=False).encode()) < MAX_FRAME_BYTES


def test_a_search_finds_a_few_and_no_member(alice: User, bob: User) -> None:
    conversation = share(alice, bob)
    crowd(conversation, 150)
    User.objects.bulk_create(User(email=f"q{n}@example.org", name=f"Person of the others {n}") for n in range(50))
    found = find_people(alice.pk, conversation.pk, "person")
    assert len(found) == MOST_FOUND
    assert all("of the others" in one["name"] for one in found)
