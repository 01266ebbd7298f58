"""What stays and what does not: pins, temporary conversations, and what a person saves."""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from django.db import IntegrityError

from accounts.models import Plan, User
from chat.conversations import changing, listing
from chat.conversations.listing import Place
from chat.models import Conversation, Member, Message, Role
from chat.portability.import_file import read_file
from chat.portability.importer import import_conversations
from chat.protocol.commands import MessageSend, parse_command
from chat.protocol.errors import Invalid
from chat.turns.accept import accept
from chat.turns.accepted import fingerprint_of
from tests.fixtures.conversation_rows import make_conversation, make_version
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def groups(user: User, **options: Any) -> dict[str, list[str]]:
    found = listing.read_listing(user.pk, zone=ZoneInfo("UTC"), **options)
    return {group.label: [item.title for item in group.items] for group in found.groups}


class TestPins:
    def test_the_pinned_ones_are_on_top_and_listed_once(self, alice: User) -> None:
        made = [make_conversation(alice, title=f"n{age}", age_days=age) for age in range(5)]
        for one in (made[3], made[1]):
            changing.pin(alice.pk, one.pk, pinned=True)
        assert groups(alice) == {
            "Pinned": ["n1", "n3"], "Today": ["n0"], "Last 7 days": ["n2", "n4"],
        }  # fmt: skip
        first = listing.read_listing(alice.pk, zone=ZoneInfo("UTC"), count=2)
        assert [item.title for group in first.groups for item in group.items] == ["n1", "n3", "n0", "n2"]
        assert groups(alice, count=2, place=Place(after=first.next)) == {"Last 7 days": ["n4"]}
        changing.pin(alice.pk, made[3].pk, pinned=False)
        assert groups(alice)["Pinned"] == ["n1"]

    def test_the_page_pins_and_says_what_it_did(self, alice: User) -> None:
        conversation = make_conversation(alice)
        client = logged_in(alice)
        assert client.post(f"/c/{conversation.pk}/pin/", {"pinned": "1"}).json() == {"pinned": True}
        page = client.get(f"/c/{conversation.pk}/").content.decode()
        assert re.search(f'class="item" data-id="{conversation.pk}"[^>]* data-pinned', page)
        assert f'id="bar" data-id="{conversation.pk}" data-pinned' in page
        assert client.post(f"/c/{conversation.pk}/pin/", {"pinned": "0"}).json() == {"pinned": False}
        assert "Pinned</h2>" not in client.get("/conversations/").content.decode()

    def test_only_who_may_write_pins(self, alice: User, bob: User, mallory: User) -> None:
        conversation = make_conversation(alice)
        Member.objects.create(conversation=conversation, user=bob, role=Role.VIEWER)
        assert logged_in(bob).post(f"/c/{conversation.pk}/pin/", {"pinned": "1"}).status_code == 403
        assert logged_in(mallory).post(f"/c/{conversation.pk}/pin/", {"pinned": "1"}).status_code == 404
        assert not Conversation.objects.exclude(pinned_at=None).exists()

    def test_there_is_an_end_to_pinning(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(changing, "MAX_PINS", 1)
        first, second = make_conversation(alice), make_conversation(alice)
        changing.pin(alice.pk, first.pk, pinned=True)
        changing.pin(alice.pk, first.pk, pinned=True)
        with pytest.raises(Invalid, match="Unpin one first"):
            changing.pin(alice.pk, second.pk, pinned=True)


class TestTemporary:
    def test_it_is_in_no_list_and_its_address_shows_it(self, alice: User) -> None:
        accepted = accept(alice.pk, message("A secret question", temporary=True))
        accept(alice.pk, message("An ordinary one"))
        assert accepted.listing["temporary"] is True
        assert groups(alice) == {"Today": ["An ordinary one"]}
        page = logged_in(alice).get(f"/c/{accepted.conversation_id}/").content.decode()
        assert "data-temporary" in page
        assert "Deleted 24 hours after the last message" in page
        assert "A secret question" not in logged_in(alice).get("/").content.decode()

    def test_it_is_so_from_the_first_message_on(self, alice: User) -> None:
        ordinary = accept(alice.pk, message("An ordinary one"))
        with pytest.raises(Invalid, match="Only a new conversation"):
            accept(alice.pk, message("More", conversation_id=ordinary.conversation_id, temporary=True))
        assert Message.objects.count() == 2
        assert not Conversation.objects.filter(temporary=True).exists()

    def test_it_is_never_pinned(self, alice: User) -> None:
        accepted = accept(alice.pk, message("Soon gone", temporary=True))
        with pytest.raises(Invalid, match="Temporary"):
            changing.pin(alice.pk, accepted.conversation_id, pinned=True)
        with pytest.raises(IntegrityError, match="conversation_temporary_or_pinned"):
            Conversation.objects.update(pinned_at="2026-01-01T00:00Z")

    def test_a_message_repeated_over_an_upgrade_is_still_one(self) -> None:
        """What a client sent before there were temporary conversations has the same fingerprint now."""
        body = {"conversation_id": None, "text": "Hi", "parent_id": None, "model": None, "attachments": None}
        before = hashlib.sha256(msgspec.json.encode(["MessageSend", body])).digest()
        frame = {"type": "message.send", "client_id": str(uuid.uuid4()), "conversation_id": None, "text": "Hi"}
        ordinary, temporary = parse_command(json.dumps(frame)), parse_command(json.dumps({**frame, "temporary": True}))
        assert isinstance(ordinary, MessageSend)
        assert isinstance(temporary, MessageSend)
        assert fingerprint_of(ordinary) == before != fingerprint_of(temporary)

    def test_the_page_says_how_long_by_the_plan(self, alice: User) -> None:
        alice.plan = Plan.objects.create(name="brief", temporary_hours=2)
        alice.save()
        page = logged_in(alice).get("/?temporary").content.decode()
        assert "Deleted 2 hours after the last message" in page
        assert 'id="temporary" aria-describedby="temporary-note" checked' in page
        assert "data-temporary" not in logged_in(alice).get("/").content.decode()


class TestSaving:
    def test_markdown_is_the_newest_path(self, alice: User) -> None:
        conversation = make_conversation(alice, 4, title="Über “Krokodile”")
        answer = Message.objects.get(text="text 1")
        make_version(answer, "another answer")
        response = logged_in(alice).get(f"/c/{conversation.pk}/export/", {"as": "markdown"})
        assert response["Content-Disposition"] == 'attachment; filename="uber-krokodile.md"'
        assert response["Content-Type"] == "text/markdown; charset=utf-8"
        assert response.content.decode() == (
            "# Über “Krokodile”\n\n## Alice\n\ntext 0\n\n## Answer\n\ntext 1\n\n"
            "## Alice\n\ntext 2\n\n## Answer\n\ntext 3\n"
        )

    def test_json_has_every_branch_and_comes_back(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice, 2)
        make_version(Message.objects.get(text="text 1"), "another answer")
        raw = logged_in(alice).get(f"/c/{conversation.pk}/export/", {"as": "json"}).content
        assert [outcome.kind for outcome in import_conversations(bob, read_file(io.BytesIO(raw)))] == ["new"]
        theirs = Message.objects.filter(conversation__memberships__user=bob)
        assert sorted(theirs.values_list("text", flat=True)) == ["another answer", "text 0", "text 1"]

    def test_everything_is_ones_own_only(self, alice: User, bob: User) -> None:
        make_conversation(alice, title="Mine")
        make_conversation(bob, title="Theirs")
        data = json.loads(logged_in(alice).get("/conversations/export/").getvalue())
        assert [one["title"] for one in data["conversations"]] == ["Mine"]
        assert "bob" not in json.dumps(data)

    def test_an_outsider_saves_nothing(self, alice: User, mallory: User) -> None:
        conversation = make_conversation(alice)
        assert logged_in(mallory).get(f"/c/{conversation.pk}/export/", {"as": "json"}).status_code == 404
        assert logged_in(alice).get(f"/c/{conversation.pk}/export/", {"as": "pdf"}).status_code == 404
