"""A user's own order of their list: the archive, tags, unread marks, many at once; and pages in both directions."""

from __future__ import annotations

import datetime
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chat.conversations import organising, tags
from chat.conversations.list_views import ListView
from chat.conversations.listing import Place, read_listing
from chat.models import Conversation, Member, Role, Tag
from chat.portability.export import export_user_data
from chat.portability.import_file import read_file
from chat.portability.importer import import_conversations
from chat.protocol.errors import Conflict, Invalid
from chat.turns.accept import accept
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
UTC = ZoneInfo("UTC")


def titles(user: User, view: str = "", **place: Any) -> list[str]:
    kind, _sep, pk = view.partition(":")
    found = read_listing(user.pk, zone=UTC, view=ListView(kind, pk or None), place=Place(**place))  # type: ignore[arg-type]
    return [item.title for group in found.groups for item in group.items]


class TestArchive:
    def test_it_is_one_members_own(self, alice: User, bob: User) -> None:
        shared = make_conversation(alice, title="shared")
        Member.objects.create(conversation=shared, user=bob, role=Role.VIEWER)
        organising.archive(bob.pk, [shared.pk], archived=True)
        assert (titles(bob), titles(bob, "archived")) == ([], ["shared"])
        assert (titles(alice), titles(alice, "archived")) == (["shared"], [])
        page = logged_in(alice).get(f"/c/{shared.pk}/").content.decode()
        assert "data-archived" not in page.partition('id="bar"')[2][:200]

    @pytest.mark.parametrize("ask", [True, False])
    def test_a_new_message_brings_it_back(self, alice: User, bob: User, *, ask: bool) -> None:
        shared = make_conversation(alice, title="shared")
        Member.objects.create(conversation=shared, user=bob, role=Role.EDITOR)
        organising.archive(alice.pk, [shared.pk], archived=True)
        tip = Conversation.objects.get(pk=shared.pk).tip_id
        Member.objects.filter(conversation=shared, user=alice).update(tip=tip)
        accept(bob.pk, message("News", conversation_id=shared.pk, ask=ask))
        assert titles(alice) == ["shared"]
        assert titles(alice, "unread") == ["shared"]
        assert Member.objects.get(conversation=shared, user=alice).archived_at is None

    def test_only_the_archived_row_of_a_branch_stays_where_it_is(self, alice: User, bob: User) -> None:
        """Coming back from the archive moves nobody to another branch."""
        shared = make_conversation(alice, 4)
        first = shared.memberships.get(user=alice)
        other = list(Conversation.objects.get(pk=shared.pk).messages.order_by("created_at"))[1]
        Member.objects.create(conversation=shared, user=bob, role=Role.EDITOR, tip=other)
        organising.archive(bob.pk, [shared.pk], archived=True)
        accept(alice.pk, message("Below the newest", conversation_id=shared.pk, parent_id=shared.tip_id))
        row = Member.objects.get(conversation=shared, user=bob)
        assert (row.archived_at, row.tip_id) == (None, other.pk)
        assert Member.objects.get(pk=first.pk).tip_id is None

    def test_undo_is_in_the_result(self, alice: User) -> None:
        made = make_conversation(alice, title="one")
        client = logged_in(alice)
        done = client.post("/conversations/organise/", {"action": "archive", "ids": str(made.pk)}).json()
        assert done == {"done": 1, "undo": [{"action": "unarchive", "ids": [str(made.pk)]}]}
        [back] = done["undo"]
        client.post("/conversations/organise/", {"action": back["action"], "ids": ",".join(back["ids"])})
        assert titles(alice) == ["one"]


class TestTags:
    def test_they_filter_and_differ_by_more_than_case(self, alice: User) -> None:
        one, _other = make_conversation(alice, title="one"), make_conversation(alice, title="other")
        first = organising.tag(alice.pk, [one.pk], name="#Urgent")["tag"]
        assert (
            organising.tag(alice.pk, [one.pk], name="urgent")["tag"] == first == {"id": first["id"], "name": "Urgent"}
        )
        assert titles(alice, f"tag:{first['id']}") == ["one"]
        assert tags.tags_of(alice.pk) == [{**first, "conversations": 1}]
        second = tags.find_or_create_tag(alice.pk, "later")
        with pytest.raises(Conflict, match="have a tag with this name"):
            tags.rename_tag(alice.pk, second.pk, "URGENT")
        client = logged_in(alice)
        assert client.post(f"/tags/{first['id']}/", {"name": "Soon"}).json() == {"name": "Soon"}
        assert client.post(f"/tags/{first['id']}/delete/").status_code == 200
        assert client.get("/conversations/", {"view": f"tag:{first['id']}"}).status_code == 404
        assert Conversation.objects.count() == 2

    def test_limits_have_sentences(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        made = make_conversation(alice)
        client = logged_in(alice)
        command = {"action": "tag", "ids": str(made.pk)}
        said = client.post("/conversations/organise/", {**command, "name": "x" * 41}).json()
        assert said["message"] == "A tag can have at most 40 characters."
        monkeypatch.setattr(organising, "MAX_TAGS_EACH", 1)
        client.post("/conversations/organise/", {**command, "name": "a"})
        assert "at most" in client.post("/conversations/organise/", {**command, "name": "b"}).json()["message"]
        monkeypatch.setattr(tags, "MAX_TAGS", 2)
        with pytest.raises(Invalid, match="which is the limit"):
            tags.find_or_create_tag(alice.pk, "c")

    def test_anothers_tag_is_none(self, alice: User, bob: User) -> None:
        tag = tags.find_or_create_tag(alice.pk, "mine")
        made = make_conversation(bob)
        client = logged_in(bob)
        for action in ("tag", "untag"):
            asked = {"action": action, "ids": str(made.pk), "tag": str(tag.pk)}
            assert client.post("/conversations/organise/", asked).status_code == 404
        assert client.post(f"/tags/{tag.pk}/delete/").status_code == 404


class TestUnread:
    def test_marked_until_it_is_opened(self, alice: User) -> None:
        made = make_conversation(alice, title="one")
        Member.objects.filter(conversation=made).update(seen_until=datetime.datetime.now(datetime.UTC))
        assert titles(alice, "unread") == []
        organising.mark(alice.pk, [made.pk], unread=True)
        assert titles(alice, "unread") == ["one"]
        client = logged_in(alice)
        assert 'data-unread="1"' in client.get("/conversations/").content.decode()
        assert 'data-unread="0"' in client.get(f"/c/{made.pk}/").content.decode()
        assert titles(alice, "unread") == []

    def test_read_to_the_end(self, alice: User, bob: User) -> None:
        made = make_conversation(alice, 4, title="one")
        Member.objects.create(
            conversation=made, user=bob, seen_until=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        )
        assert titles(bob, "unread") == ["one"]
        organising.mark(bob.pk, [made.pk], unread=False)
        assert titles(bob, "unread") == []
        assert Member.objects.get(user=bob).seen_message_id == made.tip_id


class TestMany:
    def test_what_is_others_is_not_deleted(self, alice: User, bob: User) -> None:
        mine, theirs = make_conversation(alice, title="mine"), make_conversation(bob, title="theirs")
        Member.objects.create(conversation=theirs, user=alice, role=Role.EDITOR)
        client = logged_in(alice)
        asked = {"action": "delete", "ids": f"{mine.pk},{theirs.pk}"}
        done = client.post("/conversations/organise/", asked).json()
        assert (done["done"], done["kept"]) == (1, 1)
        assert titles(alice) == ["theirs"]
        refused = client.post("/conversations/organise/", {"action": "delete", "ids": str(theirs.pk)})
        assert (refused.status_code, refused.json()["message"][:13]) == (403, "Only an owner")
        client.post("/conversations/organise/", {"action": "restore", "ids": str(mine.pk)})
        assert sorted(titles(alice)) == ["mine", "theirs"]

    def test_temporary_chats_cannot_be_filed(self, alice: User) -> None:
        made = accept(alice.pk, message("Soon gone", temporary=True))
        asked = {"action": "archive", "ids": str(made.conversation_id)}
        said = logged_in(alice).post("/conversations/organise/", asked)
        assert (said.status_code, said.json()["message"]) == (400, "Temporary chats cannot be filed.")

    @pytest.mark.parametrize(
        "asked", [{"action": "burn"}, {"action": "archive", "ids": "x"}, {"action": "archive", "ids": ""}]
    )
    def test_odd_commands_are_refused(self, alice: User, asked: dict[str, str]) -> None:
        assert logged_in(alice).post("/conversations/organise/", asked).status_code == 400

    def test_strangers_conversations_do_not_exist(self, alice: User, mallory: User) -> None:
        made = make_conversation(alice)
        for action in ("archive", "move", "tag", "read", "unread", "delete", "restore"):
            asked = {"action": action, "ids": str(made.pk), "name": "x"}
            assert logged_in(mallory).post("/conversations/organise/", asked).status_code == 404, action
        assert not Tag.objects.filter(members__conversation=made).exists()


class TestPages:
    def test_it_goes_on_in_both_directions(self, alice: User) -> None:
        made = [make_conversation(alice, 1, title=f"{number:03}", age_days=number) for number in range(130)]
        every = [f"{number:03}" for number in range(130)]
        found = read_listing(alice.pk, zone=UTC, place=Place(around=made[70].pk))
        shown = [item.title for group in found.groups for item in group.items]
        assert shown == every[50:90]
        newer = read_listing(alice.pk, zone=UTC, place=Place(before=found.previous))
        assert [item.title for group in newer.groups for item in group.items] == every[10:50]
        first = read_listing(alice.pk, zone=UTC, place=Place(before=newer.previous))
        assert ([item.title for group in first.groups for item in group.items], first.previous) == (every[:10], "")
        older = read_listing(alice.pk, zone=UTC, place=Place(after=found.next))
        assert [item.title for group in older.groups for item in group.items] == every[90:130]
        again = read_listing(alice.pk, zone=UTC, place=Place(start=found.previous))
        assert (again.groups, again.version) == (found.groups, found.version)
        # Near the top it is the top.
        assert titles(alice, around=made[12].pk) == every[:40]

    def test_it_jumps_to_a_day(self, alice: User) -> None:
        for number in range(90):
            make_conversation(alice, 1, title=f"{number:03}", age_days=number + 0.001)
        today = datetime.datetime.now(datetime.UTC).date()
        shown = titles(alice, day=today - datetime.timedelta(days=45))
        assert shown[0] in ("044", "045", "046")
        assert titles(alice, day=datetime.date(2001, 1, 1)) == [f"{number:03}" for number in range(50, 90)]

    @pytest.mark.parametrize("query", ["day=x", "around=x", "view=x", "view=folder", "start=x", "after=a&before=b"])
    def test_odd_places_are_not_found(self, alice: User, query: str) -> None:
        assert logged_in(alice).get(f"/conversations/?{query}").status_code == 404

    def test_a_page_takes_the_same_queries_however_long_the_list_is(self, alice: User) -> None:
        from django.db import connection

        counts = []
        for total in (2, 60):
            for number in range(total):
                make_conversation(alice, 1, title=str(number), age_days=number)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                read_listing(alice.pk, zone=UTC)
            counts.append(len(queries))
        assert counts == [3, 3]


def test_the_order_survives_export_and_import(alice: User, bob: User, tmp_path: Any) -> None:
    from chat.conversations import folders

    work = folders.create_folder(alice.pk, {"name": "Work", "instructions": "Be brief."}, None)
    inner = folders.create_folder(alice.pk, {"name": "Reports"}, work.pk)
    made = make_conversation(alice, title="kept")
    organising.move(alice.pk, [made.pk], inner.pk)
    organising.tag(alice.pk, [made.pk], name="urgent")
    organising.archive(alice.pk, [made.pk], archived=True)
    text = "".join(export_user_data(alice))
    data = json.loads(text)
    assert data["folders"][0] == {"path": ["Work"], "instructions": "Be brief.", "model": ""}
    assert data["tags"] == ["urgent"]
    file = tmp_path / "export.json"
    file.write_text(text)
    assert [one.kind for one in import_conversations(bob, read_file(file))] == ["new"]
    member = Member.objects.get(user=bob)
    assert member.folder is not None
    assert member.folder.parent is not None
    assert (member.folder.name, member.folder.parent.name, member.folder.user_id) == ("Reports", "Work", bob.pk)
    assert member.archived_at is not None
    assert [tag.name for tag in Tag.objects.filter(members=member)] == ["urgent"]
