"""Earlier texts of messages that were edited or deleted: who reads them, and how long they are kept."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry, User
from chat.conversations.copying import fork
from chat.models import Member, Message, Revision, Role
from chat.portability.export import conversation_data
from chat.portability.markdown_export import to_markdown
from chat.retention.erasure import erase
from chat.retention.purge import purge
from chat.turns.accepted import Accepted
from chat.turns.changing import delete_message, edit_message
from tests.fixtures.people import staff_client
from tests.integration.chat.turns.changed import answer_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def test_nothing_of_a_deleted_message_is_exported_or_copied(turn: Accepted, alice: User) -> None:
    delete_message(alice.pk, answer_of(turn).pk)
    edited = edit_message(alice.pk, turn.message_id, "Which alligator?")
    member = Member.objects.select_related("conversation", "user").get(user=alice)
    question, answer = conversation_data(member, reasoning=True)["messages"]
    assert edited.edited_at is not None
    assert question["edited_at"] == edited.edited_at.isoformat()
    assert (answer["text"], answer["deleted"], answer["reasoning"]) == ("", True, None)
    assert "This message was deleted" in to_markdown(member)
    copy = fork(alice.pk, answer_of(turn).pk)
    first, second = Message.objects.filter(conversation=copy).order_by("created_at")
    assert first.edited_at == edited.edited_at
    assert (second.text, second.deleted_at is None) == ("", False)
    for text in (str(conversation_data(member)), to_markdown(member)):
        assert "Nile" not in text
        assert "crocodile" not in text


def test_staff_read_earlier_texts_by_permission_and_each_reading_is_recorded(turn: Accepted, alice: User) -> None:
    edit_message(alice.pk, turn.message_id, "Which alligator?")
    pk = Revision.objects.get().pk
    page = f"/admin/chat/revision/{pk}/change/"
    seeing = staff_client("view_revision")
    assert seeing.get("/admin/chat/revision/").status_code == 200
    assert b"crocodile" not in seeing.get(page).content
    assert not AuditEntry.objects.filter(verb="read_body").exists()
    User.objects.filter(email="sam@example.org").delete()
    reading = staff_client("view_revision", "read_revision")
    assert b"Which crocodile?" in reading.get(page).content
    assert b"Which crocodile?" not in reading.get("/admin/chat/revision/").content
    assert AuditEntry.objects.filter(verb="read_body").count() == 1


def test_earlier_texts_are_purged_and_erased(turn: Accepted, alice: User, bob: User, settings: object) -> None:
    edit_message(alice.pk, turn.message_id, "Which alligator?")
    list(purge())
    assert Revision.objects.count() == 1
    settings.KEEP_REVISION_DAYS = 0  # type: ignore[attr-defined]
    list(purge())
    assert not Revision.objects.exists()
    edit_message(alice.pk, turn.message_id, "Which caiman?")
    Member.objects.filter(user=bob).update(role=Role.OWNER)
    edit_message(bob.pk, answer_of(turn).pk, "The black caiman.")
    assert Revision.objects.count() == 2
    erase(alice)
    assert [one.changed_by for one in Revision.objects.all()] == []
