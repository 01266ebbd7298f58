"""Members: added, changed and removed by owners; leaving; and the rules that every conversation keeps."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import mail
from django.utils import timezone

from accounts.lib import streaming
from accounts.models import User
from chat.conversations import members
from chat.conversations.directory import find_people
from chat.eventlog import store
from chat.models import Conversation, Member, Role
from chat.portability import export
from chat.protocol.commands import Position
from chat.protocol.errors import ChatError, Forbidden, Invalid, NotFound
from chat.retention.erasure import erase
from chat.views import exports
from tests.conftest import make_user
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.fixtures.quota_rows import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """Alice's conversation, in which Bob is an editor."""
    conversation = make_conversation(alice)
    Member.objects.create(conversation=conversation, user=bob, role=Role.EDITOR)
    return conversation


def roles(conversation: Conversation) -> dict[str, str]:
    return {member.user.name: member.role for member in members.members_of(conversation.pk)}


def last_event(conversation: Conversation) -> dict[str, Any]:
    position, _ = async_to_sync(store.position)(conversation.pk)
    entries = async_to_sync(store.read)(conversation.pk, Position(position.epoch, 0), limit=100).entries
    assert entries
    return dict(json.loads(entries[-1].body))


class TestAdding:
    def test_by_address(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice)
        added = members.add_member(alice.pk, conversation.pk, " BOB@example.org ", "viewer")
        assert (added.member.user, added.by) == (bob, alice)
        assert roles(conversation) == {"Alice": "owner", "Bob": "viewer"}
        assert list(members.list_members(bob.pk, conversation.pk)) == [
            {"id": str(alice.pk), "name": "Alice", "role": "owner", "you": False},
            {"id": str(bob.pk), "name": "Bob", "role": "viewer", "you": True, "email": bob.email},
        ]

    @pytest.mark.parametrize(
        ("email", "words"),
        [("bob@example.org", "already a member"), ("alice@example.org", "already a member"), ("", "Enter an email"),
         ("nobody@example.org", "Nobody with this address"), ("mallory@example.org", "Nobody with this address"),
         ("bo\x00b@example.org", "Nobody with this address")],
    )  # fmt: skip
    def test_refused(self, shared: Conversation, alice: User, mallory: User, email: str, words: str) -> None:
        User.objects.filter(pk=mallory.pk).update(is_active=False)
        with pytest.raises(Invalid, match=words):
            members.add_member(alice.pk, shared.pk, email, "editor")
        assert len(roles(shared)) == 2

    def test_an_account_that_is_to_be_erased(self, shared: Conversation, alice: User, mallory: User) -> None:
        User.objects.filter(pk=mallory.pk).update(erase_at=timezone.now() + timedelta(days=1))
        with pytest.raises(Invalid, match="Nobody with this address"):
            members.add_member(alice.pk, shared.pk, mallory.email, "editor")

    def test_an_account_that_was_erased(self, shared: Conversation, alice: User, bob: User, mallory: User) -> None:
        for person in (mallory, bob):
            address, known = person.email, person.pk
            erase(person)
            with pytest.raises(Invalid, match="Nobody with this address"):
                members.add_member(alice.pk, shared.pk, address, "editor")
            with pytest.raises(Invalid, match="no longer a member"):
                members.change_role(alice.pk, shared.pk, known, "editor")
        assert roles(shared) == {"Alice": "owner"}

    def test_an_unknown_role(self, shared: Conversation, alice: User, mallory: User) -> None:
        with pytest.raises(Invalid, match="Choose a role"):
            members.add_member(alice.pk, shared.pk, mallory.email, "king")

    def test_only_by_owners(self, shared: Conversation, bob: User, mallory: User) -> None:
        with pytest.raises(Forbidden):
            members.add_member(bob.pk, shared.pk, mallory.email, "editor")
        with pytest.raises(NotFound):
            members.add_member(mallory.pk, shared.pk, mallory.email, "owner")

    def test_not_to_a_temporary_chat(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice)
        Conversation.objects.update(temporary=True)
        with pytest.raises(Invalid, match="one person only"):
            members.add_member(alice.pk, conversation.pk, bob.email, "editor")

    def test_not_to_a_deleted_conversation(self, shared: Conversation, alice: User, mallory: User) -> None:
        Conversation.objects.update(deleted_at=timezone.now())
        with pytest.raises(NotFound):
            members.add_member(alice.pk, shared.pk, mallory.email, "editor")

    def test_at_most_200(self, shared: Conversation, alice: User, mallory: User) -> None:
        crowd = User.objects.bulk_create(User(email=f"p{n}@example.org", name=f"P{n}") for n in range(198))
        Member.objects.bulk_create(Member(conversation=shared, user=user, role=Role.VIEWER) for user in crowd)
        with pytest.raises(Invalid, match="at most 200 members"):
            members.add_member(alice.pk, shared.pk, mallory.email, "editor")

    def test_everybody_is_told_who_the_members_are(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice)
        members.add_member(alice.pk, conversation.pk, bob.email, "editor")
        event = last_event(conversation)
        assert event["type"] == "members.changed"
        assert [(one["name"], one["role"]) for one in event["members"]] == [("Alice", "owner"), ("Bob", "editor")]
        assert "example.org" not in json.dumps(event)


class TestNames:
    def test_that_look_alike_are_marked(self, shared: Conversation, alice: User, bob: User) -> None:
        assert not any("alike" in one for one in members.list_members(alice.pk, shared.pk))
        User.objects.filter(pk=bob.pk).update(name="\u202e\u0410lice\u202c")  # with a Cyrillic A
        shown = members.list_members(alice.pk, shared.pk)
        assert [one.get("alike") for one in shown] == [True, True]
        assert shown[1]["name"] == "\u0410lice"

    def test_nobody_gives_themselves_one_that_deceives(self, bob: User) -> None:
        client = logged_in(bob)
        assert client.post("/accounts/settings/account/", {"name": "Ro\u202bb\x07"}).status_code == 302
        bob.refresh_from_db()
        assert bob.name == "Ro b"
        assert "can be seen" in client.post("/accounts/settings/account/", {"name": "\u2066\u2069"}).content.decode()


class TestDirectory:
    def test_finds_by_name_without_addresses(self, shared: Conversation, alice: User, settings: Any) -> None:
        settings.PEOPLE_DIRECTORY = True
        ann = make_user("Annabel")
        assert find_people(alice.pk, shared.pk, "nnab") == [{"id": str(ann.pk), "name": "Annabel"}]
        assert find_people(alice.pk, shared.pk, "bob") == [], "a member"
        assert find_people(alice.pk, shared.pk, "n") == [], "one letter"
        members.add_member(alice.pk, shared.pk, "", "viewer", user_id=ann.pk)
        assert roles(shared)["Annabel"] == "viewer"

    def test_switched_off(self, shared: Conversation, alice: User, settings: Any) -> None:
        settings.PEOPLE_DIRECTORY = False
        ann = make_user("Annabel")
        assert find_people(alice.pk, shared.pk, "nnab") == []
        with pytest.raises(Invalid, match="Enter an email address"):
            members.add_member(alice.pk, shared.pk, "", "viewer", user_id=ann.pk)

    def test_only_for_owners(self, shared: Conversation, bob: User) -> None:
        with pytest.raises(Forbidden):
            find_people(bob.pk, shared.pk, "ali")


class TestRoles:
    def test_changed_by_an_owner(self, shared: Conversation, alice: User, bob: User) -> None:
        members.change_role(alice.pk, shared.pk, bob.pk, "owner")
        members.change_role(bob.pk, shared.pk, alice.pk, "viewer")
        assert roles(shared) == {"Bob": "owner", "Alice": "viewer"}

    def test_the_last_owner_stays_one(self, shared: Conversation, alice: User) -> None:
        with pytest.raises(Invalid, match="needs an owner"):
            members.change_role(alice.pk, shared.pk, alice.pk, "editor")

    def test_not_by_others(self, shared: Conversation, alice: User, bob: User) -> None:
        with pytest.raises(Forbidden):
            members.change_role(bob.pk, shared.pk, bob.pk, "owner")

    def test_of_somebody_who_left(self, shared: Conversation, alice: User, mallory: User) -> None:
        with pytest.raises(Invalid, match="no longer a member"):
            members.change_role(alice.pk, shared.pk, mallory.pk, "editor")


class TestRemovingAndLeaving:
    def test_removed(self, shared: Conversation, alice: User, bob: User) -> None:
        members.remove_member(alice.pk, shared.pk, bob.pk)
        assert roles(shared) == {"Alice": "owner"}
        with pytest.raises(NotFound):
            members.list_members(bob.pk, shared.pk)

    def test_an_export_that_began_before_ends_without_it(self, shared: Conversation, alice: User, bob: User) -> None:
        other = make_conversation(alice)
        Member.objects.create(conversation=other, user=bob, role=Role.EDITOR)
        first, second = sorted((shared, other), key=lambda one: one.pk)
        pieces, body = export.export_user_data(bob), ""
        while str(first.pk) not in body:
            body += next(pieces)
        members.remove_member(alice.pk, second.pk, bob.pk)
        body += "".join(pieces)
        assert [one["id"] for one in json.loads(body)["conversations"]] == [str(first.pk)]

    def test_an_export_ends_while_its_conversation_is_being_sent(
        self, shared: Conversation, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming, "CHECK_SECONDS", 0.0)
        shared.messages.update(text="walrus " * streaming.PART)
        pieces = export.export_user_data(bob)
        assert any("walrus" in piece for piece in pieces)
        members.remove_member(alice.pk, shared.pk, bob.pk)
        with pytest.raises(streaming.AccessLostError):
            list(pieces)

    def test_the_export_of_one_ends(
        self, shared: Conversation, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(member: Member, **_: Any) -> dict[str, Any]:
            members.remove_member(alice.pk, shared.pk, bob.pk)
            return {"title": "Crocodiles"}

        monkeypatch.setattr(exports, "conversation_data", slow)
        assert logged_in(bob).get(f"/c/{shared.pk}/export/?as=json").status_code == 404

    def test_only_by_owners(self, shared: Conversation, alice: User, bob: User) -> None:
        with pytest.raises(Forbidden):
            members.remove_member(bob.pk, shared.pk, alice.pk)
        with pytest.raises(Invalid, match="leave the conversation"):
            members.remove_member(alice.pk, shared.pk, alice.pk)

    def test_leaving(self, shared: Conversation, bob: User) -> None:
        members.leave(bob.pk, shared.pk)
        assert roles(shared) == {"Alice": "owner"}

    def test_the_only_owner_hands_over(self, shared: Conversation, alice: User, bob: User, mallory: User) -> None:
        with pytest.raises(Invalid, match="Choose who will own"):
            members.leave(alice.pk, shared.pk)
        with pytest.raises(Invalid, match="Choose a member"):
            members.leave(alice.pk, shared.pk, mallory.pk)
        assert roles(shared) == {"Alice": "owner", "Bob": "editor"}
        members.leave(alice.pk, shared.pk, bob.pk)
        assert roles(shared) == {"Bob": "owner"}

    def test_the_only_member(self, alice: User) -> None:
        with pytest.raises(Invalid, match="Delete the conversation"):
            members.leave(alice.pk, make_conversation(alice).pk)

    def test_an_editor_names_no_successor(self, shared: Conversation, alice: User, bob: User) -> None:
        with pytest.raises(Forbidden):
            members.leave(bob.pk, shared.pk, bob.pk)


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_remove_each_other_at_once(shared: Conversation, alice: User, bob: User) -> None:
    members.change_role(alice.pk, shared.pk, bob.pk, "owner")
    pairs = [(alice.pk, bob.pk), (bob.pk, alice.pk)]
    results = together(2, lambda number: members.remove_member(pairs[number][0], shared.pk, pairs[number][1]))
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "NotFound"]
    assert list(roles(shared).values()) == ["owner"]


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once(shared: Conversation, alice: User, bob: User) -> None:
    members.change_role(alice.pk, shared.pk, bob.pk, "owner")
    results = together(2, lambda number: members.leave((alice.pk, bob.pk)[number], shared.pk))
    assert sum(isinstance(result, ChatError) for result in results) == 1
    assert list(roles(shared).values()) == ["owner"]


class TestPage:
    def test_the_commands(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice)
        browser, url = logged_in(alice), f"/c/{conversation.pk}/members/"
        shown = browser.get(url).json()
        assert (shown["may_manage"], len(shown["members"]), shown["links"]) == (True, 1, [])
        added = browser.post(url + "add/", {"email": bob.email, "role": "editor"})
        assert (added.status_code, added.json()["added"]) == (200, "Bob")
        assert mail.outbox[0].to == [bob.email]
        assert f"/c/{conversation.pk}/" in mail.outbox[0].body
        assert "Crocodiles" not in mail.outbox[0].body
        assert browser.post(f"{url}{bob.pk}/role/", {"role": "viewer"}).json()["members"][1]["role"] == "viewer"
        refused = browser.post(url + "add/", {"email": "x@example.org"})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
        assert browser.post(url + "add/", {"user_id": "no id"}).status_code == 400
        assert len(browser.post(f"{url}{bob.pk}/remove/").json()["members"]) == 1
        assert browser.post(url + "leave/").json()["message"].startswith("You are the only member")

    def test_strangers(self, shared: Conversation, mallory: User) -> None:
        browser, url = logged_in(mallory), f"/c/{shared.pk}/members/"
        assert browser.get(url).status_code == 404
        for path in ("add/", "leave/", "links/", f"{mallory.pk}/role/", f"{mallory.pk}/remove/"):
            assert browser.post(url + path, {"role": "editor", "email": mallory.email}).status_code == 404
        assert browser.post(f"{url}links/{uuid.uuid4()}/revoke/").status_code == 404

    @pytest.mark.django_db(transaction=True)
    def test_a_viewer_is_shown_no_message_field(self, shared: Conversation, bob: User) -> None:
        Member.objects.filter(user=bob).update(role=Role.VIEWER)
        page = logged_in(bob).get(f"/c/{shared.pk}/").content.decode()
        assert '<form class="composer" id="composer" autocomplete="off" hidden>' in page
