"""Folders of a user's list: their tree and its limits, what new conversations get, and what deleting one does."""

from __future__ import annotations

import uuid
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from accounts.models import User
from chat.conversations import folders, organising
from chat.conversations.list_views import ListView
from chat.conversations.listing import read_listing
from chat.models import Conversation, Folder, Member
from chat.protocol.commands import TurnOptions
from chat.protocol.errors import Invalid, NotFound, TooLarge
from chat.turns.accept import accept
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def folder(user: User, name: str, parent: Folder | None = None, **fields: str) -> Folder:
    return folders.create_folder(user.pk, {"name": name, **fields}, parent.pk if parent else None)


def tree(user: User) -> list[tuple[str, int]]:
    return [(one.name, one.depth) for one in folders.folder_entries(user.pk)]


def titles(user: User, view: ListView | None = None) -> list[str]:
    found = read_listing(user.pk, zone=ZoneInfo("UTC"), view=view or ListView())
    return [item.title for group in found.groups for item in group.items]


class TestTheTree:
    def test_they_nest_twice_and_no_deeper(self, alice: User) -> None:
        first = folder(alice, "a")
        second = folder(alice, "b", first)
        third = folder(alice, "c", second)
        assert tree(alice) == [("a", 0), ("b", 1), ("c", 2)]
        with pytest.raises(Invalid, match="nested only twice"):
            folder(alice, "d", third)
        other = folder(alice, "x")
        folder(alice, "y", other)
        with pytest.raises(Invalid, match="nested only twice"):
            folders.move_folder(alice.pk, other.pk, second.pk)
        folders.move_folder(alice.pk, other.pk, first.pk)
        assert tree(alice) == [("a", 0), ("b", 1), ("c", 2), ("x", 1), ("y", 2)]
        with pytest.raises(Invalid, match="into itself"):
            folders.move_folder(alice.pk, first.pk, third.pk)

    def test_their_order_is_the_users(self, alice: User) -> None:
        made = [folder(alice, name) for name in "abc"]
        assert folders.step_folder(alice.pk, made[2].pk, down=False)
        assert not folders.step_folder(alice.pk, made[0].pk, down=False)
        folders.move_folder(alice.pk, made[1].pk, None, made[0].pk)
        assert [name for name, _depth in tree(alice)] == ["b", "a", "c"]

    @pytest.mark.parametrize(
        ("fields", "error", "words"),
        [
            ({"name": " \x00 "}, Invalid, "Enter a name"),
            ({"name": "x" * 81}, TooLarge, "at most 80"),
            ({"name": "x", "instructions": "y" * 4_001}, TooLarge, "at most 4,000"),
        ],
    )
    def test_a_refusal_has_a_sentence(
        self, alice: User, fields: dict[str, str], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            folders.create_folder(alice.pk, fields, None)

    def test_there_is_an_end(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folders, "MAX_FOLDERS", 1)
        folder(alice, "a")
        with pytest.raises(Invalid, match="which is the limit"):
            folder(alice, "b")

    def test_nobody_else_reads_or_changes_them(self, alice: User, bob: User) -> None:
        mine = folder(alice, "Secret")
        client = logged_in(bob)
        assert client.post(f"/folders/{mine.pk}/", {"name": "x"}).status_code == 404
        assert client.post(f"/folders/{mine.pk}/delete/").status_code == 404
        assert client.post(f"/folders/{mine.pk}/move/", {"step": "up"}).status_code == 404
        assert client.get(f"/?folder={mine.pk}").status_code == 404
        assert client.get("/conversations/", {"view": f"folder:{mine.pk}"}).status_code == 404
        theirs = make_conversation(bob)
        with pytest.raises(NotFound):
            organising.move(bob.pk, [theirs.pk], mine.pk)
        with pytest.raises(NotFound):
            accept(bob.pk, message("Hi", folder_id=mine.pk))
        assert "Secret" not in client.get("/conversations/order/").content.decode()


class TestDeleting:
    def test_conversations_go_back_and_folders_up(self, alice: User) -> None:
        outer = folder(alice, "outer")
        inner = folder(alice, "inner", outer)
        folder(alice, "innermost", inner)
        kept = make_conversation(alice, title="filed")
        organising.move(alice.pk, [kept.pk], inner.pk)
        assert titles(alice) == []
        assert logged_in(alice).post(f"/folders/{inner.pk}/delete/").json() == {"back": 1}
        assert titles(alice) == ["filed"]
        assert tree(alice) == [("outer", 0), ("innermost", 1)]


class TestNewConversations:
    def test_they_get_the_instructions_and_the_model(self, alice: User) -> None:
        work = folder(alice, "Work", instructions="Be brief.", model="large")
        made = accept(alice.pk, message("Hello", folder_id=work.pk, options=TurnOptions(system_prompt="Speak Latin.")))
        row = Conversation.objects.get(pk=made.conversation_id)
        assert row.system_prompt == "Speak Latin.\n\nBe brief."
        assert row.model == "large"
        assert titles(alice, ListView("folder", work.pk)) == ["Hello"]
        assert titles(alice) == []

    def test_only_new_and_lasting_ones(self, alice: User) -> None:
        work = folder(alice, "Work")
        with pytest.raises(Invalid, match="Temporary chats cannot be filed"):
            accept(alice.pk, message("Hello", folder_id=work.pk, temporary=True))
        made = accept(alice.pk, message("Hello"))
        with pytest.raises(Invalid, match="Move this one there"):
            accept(alice.pk, message("More", conversation_id=made.conversation_id, folder_id=work.pk))
        assert not Member.objects.exclude(folder=None).exists()

    def test_together_not_too_long(self, alice: User) -> None:
        work = folder(alice, "Work", instructions="y" * 4_000)
        with pytest.raises(TooLarge, match="together"):
            accept(alice.pk, message("Hello", folder_id=work.pk, options=TurnOptions(system_prompt="x" * 19_000)))
        assert not Conversation.objects.exists()

    def test_the_page_says_where_it_begins(self, alice: User) -> None:
        work = folder(alice, "Work")
        page = logged_in(alice).get(f"/?folder={work.pk}").content.decode()
        assert f'data-view="folder:{work.pk}"' in page
        assert "begins in the folder “Work”" in page
        assert f'"folder": {{"id": "{work.pk}"' in page
        assert logged_in(alice).get(f"/?folder={uuid.uuid4()}").status_code == 404
        assert logged_in(alice).get("/?folder=x").status_code == 404


def test_the_page_of_a_filed_conversation_shows_its_folder(alice: User) -> None:
    work = folder(alice, "Work")
    kept: Any = make_conversation(alice, title="filed")
    organising.move(alice.pk, [kept.pk], work.pk)
    page = logged_in(alice).get(f"/c/{kept.pk}/").content.decode()
    assert f'data-view="folder:{work.pk}"' in page
    assert f'class="item" data-id="{kept.pk}"' in page
