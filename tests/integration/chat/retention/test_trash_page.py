"""The trash: how long things stay in it, restoring, deleting for good, and deleting all."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Plan, User
from chat.conversations import trashing
from chat.models import Conversation, Member, ModerationCase, Role
from chat.retention import trash
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def deleted(user: User, title: str, days: float = 0) -> Conversation:
    made = make_conversation(user, title=title)
    at = timezone.now() - datetime.timedelta(days=days)
    Conversation.objects.filter(pk=made.pk).update(deleted_at=at)
    return made


def test_the_days_left_are_the_plans(alice: User, bob: User, settings: Any) -> None:
    settings.KEEP_DELETED_DAYS = 10
    deleted(alice, "old", 4)
    shared = deleted(alice, "shared", 1)
    bob.plan = Plan.objects.create(name="long", trash_days=30)
    bob.save()
    Member.objects.create(conversation=shared, user=bob, role=Role.OWNER)
    rows = trash.read_trash(alice.pk, timezone.now()).rows
    assert [(row.title, row.days_left) for row in rows] == [("shared", 29), ("old", 6)]
    page = logged_in(alice).get("/conversations/trash/").content.decode()
    assert "29 days left" in page
    assert "2 conversations that you deleted" in page


def test_pages_go_on(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trash, "PAGE", 2)
    for number in range(5):
        deleted(alice, str(number), number)
    found, after = [], ""
    while True:
        page = trash.read_trash(alice.pk, timezone.now(), after=after)
        found += [row.title for row in page.rows]
        if not (after := page.next):
            break
    assert found == list("01234")
    assert logged_in(alice).get("/conversations/trash/?after=x").status_code == 404


def test_restoring_one_and_all(alice: User) -> None:
    one, _two, _three = (deleted(alice, title) for title in ("one", "two", "three"))
    client = logged_in(alice)
    client.post("/conversations/trash/restore/", {"ids": str(one.pk)})
    assert trash.trash_of(alice.pk).count() == 2
    page = client.post("/conversations/trash/restore/", {"all": "1"}, follow=True).content.decode()
    assert "2 conversations are back in your list." in page
    assert "Nothing is in the trash" in page
    gone = client.post("/conversations/trash/restore/", {"ids": str(one.pk)}, follow=True).content.decode()
    assert "no longer in the trash" in gone


def test_deleting_for_good_is_asked_first(alice: User) -> None:
    one, _two = deleted(alice, "one"), deleted(alice, "two")
    client = logged_in(alice)
    asked = client.get("/conversations/trash/delete/", {"ids": str(one.pk)}).content.decode()
    assert "Delete “one” for good?" in asked
    assert Conversation.objects.count() == 2
    client.post("/conversations/trash/delete/", {"ids": str(one.pk)})
    assert [row.title for row in Conversation.objects.all()] == ["two"]
    client.post("/conversations/trash/delete/", {"all": "1"})
    assert not Conversation.objects.exists()


def test_a_site_may_keep_them(alice: User, settings: Any) -> None:
    settings.TRASH_DELETE_NOW = False
    one = deleted(alice, "one")
    client = logged_in(alice)
    assert "Delete all for good" not in client.get("/conversations/trash/").content.decode()
    assert client.post("/conversations/trash/delete/", {"ids": str(one.pk)}).status_code == 403
    assert Conversation.objects.exists()


def test_what_a_reviewer_looks_at_stays(alice: User) -> None:
    one, _two = deleted(alice, "one"), deleted(alice, "two")
    ModerationCase.objects.create(
        target="message", target_id=one.pk, conversation=one, person=alice, direction="asked", origin="rule",
        action="flag",
    )  # fmt: skip
    client = logged_in(alice)
    said = client.post("/conversations/trash/delete/", {"ids": str(one.pk)}, follow=True).content.decode()
    assert "A reviewer is looking at a message of it" in said
    said = client.post("/conversations/trash/delete/", {"all": "1"}, follow=True).content.decode()
    assert "1 stays" in said
    assert [row.title for row in Conversation.objects.all()] == ["one"]


def test_nobody_elses_trash(alice: User, bob: User) -> None:
    one = deleted(alice, "one")
    Member.objects.create(conversation=one, user=bob, role=Role.EDITOR)
    client = logged_in(bob)
    assert "one</strong>" not in client.get("/conversations/trash/").content.decode()
    client.post("/conversations/trash/restore/", {"ids": str(one.pk)})
    client.post("/conversations/trash/delete/", {"ids": str(one.pk)})
    assert Conversation.objects.get().deleted_at is not None


def test_delete_all_in_steps_and_back(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trashing, "AT_ONCE", 2)
    for number in range(5):
        make_conversation(alice, title=str(number))
    theirs = make_conversation(bob, title="theirs")
    Member.objects.create(conversation=theirs, user=alice, role=Role.EDITOR)
    deleted(alice, "before")
    client = logged_in(alice)
    refused = client.post("/conversations/delete-all/", {"confirm": "yes"})
    assert (refused.status_code, Conversation.objects.filter(deleted_at=None).count()) == (400, 6)
    asked = {"confirm": "Delete all"}
    steps = [client.post("/conversations/delete-all/", asked).json()]
    while steps[-1]["left"]:
        steps.append(client.post("/conversations/delete-all/", {**asked, "at": steps[0]["at"]}).json())
    assert [(step["done"], step["left"]) for step in steps] == [(2, 3), (2, 1), (1, 0)]
    assert [row.title for row in Conversation.objects.filter(deleted_at=None)] == ["theirs"]
    at = steps[0]["at"]
    backs = [client.post("/conversations/delete-all/undo/", {"at": at}).json()["left"] for _ in range(3)]
    assert backs == [3, 1, 0]
    assert [row.title for row in Conversation.objects.exclude(deleted_at=None)] == ["before"]
    for odd in ("", "x", "2020-01-01T00:00:00+00:00", "2020-01-01"):
        assert client.post("/conversations/delete-all/undo/", {"at": odd}).status_code == 400
