"""Files in a turn: which may be attached, what events, snapshots and edits have of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chat.conversations.snapshot import read_snapshot, read_state
from chat.files.payloads import file_dict
from chat.models import Attachment, Conversation, File, Member, Message, Role, RunStatus
from chat.protocol.commands import MessageEdit
from chat.protocol.errors import Conflict, Invalid, TooLarge
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.turns import waiting_line
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.line_rows import waiting_rows
from chat.turns.unasked import find_unannounced
from tests.fixtures.attached import stored
from tests.fixtures.run_rows import message, say

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading"),
]  # fmt: skip


def first_event(made: Accepted) -> dict[str, Any]:
    """The message as its first event shows it."""
    events = [msgspec.json.decode(event) for event, _ in made.announcements[0].events]
    shown: dict[str, Any] = next(one for one in events if one["type"] == "message.created")["message"]
    return shown


def names(shown: dict[str, Any]) -> list[str]:
    return [one["name"] for one in shown.get("files", ())]


def shown_in_snapshot(made: Accepted, reader: User) -> dict[str, dict[str, Any]]:
    state = async_to_sync(read_snapshot)(made.conversation_id, reader.pk)
    return {one["id"]: one for one in state.messages}


def answered(made: Accepted) -> Accepted:
    assert claim(made.run_id, "w") is not None
    assert end_run(made.run_id, 1, RunStatus.DONE, Ending("Yes.")) is not None
    return made


class TestSent:
    def test_with_a_message(self, alice: User) -> None:
        files = [stored(alice, "b.txt", b"b"), stored(alice, "a.txt", b"a")]
        made = say(alice, "Which?", attachments=[file.pk for file in files])
        assert first_event(made)["files"] == [file_dict(file) for file in files]
        assert shown_in_snapshot(made, alice)[str(made.message_id)]["files"] == [file_dict(file) for file in files]
        page = async_to_sync(read_state)(made.conversation_id)
        assert names(page.messages[0]) == ["b.txt", "a.txt"]
        assert set(File.objects.values_list("conversation", flat=True)) == {made.conversation_id}

    def test_without_a_text(self, alice: User) -> None:
        made = say(alice, "  ", attachments=[stored(alice, "report.pdf", b"%PDF-1.7\n").pk])
        assert Message.objects.get(pk=made.message_id).text == ""
        assert Conversation.objects.get(pk=made.conversation_id).title == "report.pdf"
        with pytest.raises(Invalid, match="empty"):
            say(alice, "  ", attachments=[])

    def test_asking_nobody(self, alice: User) -> None:
        made = say(alice, "", ask=False, attachments=[stored(alice).pk])
        assert made.asked_run_id is None
        assert names(first_event(made)) == ["notes.txt"]
        [again] = find_unannounced(-60)  # as the recovery appends it
        assert names(msgspec.json.decode(again.events[0][0])["message"]) == ["notes.txt"]

    def test_the_same_command_twice(self, alice: User) -> None:
        file = stored(alice)
        asked = message("Hi", attachments=[file.pk], ask=True)
        made = accept(alice.pk, asked)
        assert accept(alice.pk, asked).message_id == made.message_id
        assert Attachment.objects.count() == 1
        with pytest.raises(Conflict):
            accept(alice.pk, msgspec.structs.replace(asked, attachments=[]))

    def test_the_same_file_twice_is_one(self, alice: User) -> None:
        file = stored(alice)
        assert names(first_event(say(alice, attachments=[file.pk, file.pk]))) == ["notes.txt"]

    def test_a_message_without_files_costs_no_query_more(self, alice: User) -> None:
        say(alice)  # what the process reads once
        with CaptureQueriesContext(
            connection,
        ) as queries:
            say(alice)
        assert not [one for one in queries if "chat_file" in one["sql"] or "chat_attachment" in one["sql"]]
        made = say(alice)
        seen: list[str] = []

        def note(execute: Any, sql: str, *args: Any) -> Any:
            seen.append(sql)
            return execute(sql, *args)

        from chat.conversations import snapshot

        with connection.execute_wrapper(note):
            snapshot._at_one_moment(lambda: snapshot._load_newest(made.conversation_id, alice.pk))
        assert seen
        assert not [sql for sql in seen if "chat_file" in sql or "chat_attachment" in sql]


class TestRefused:
    def refused(self, user: User, files: Sequence[uuid.UUID], **fields: Any) -> str:
        before = Message.objects.count()
        with pytest.raises(Invalid) as error:
            say(user, attachments=list(files), **fields)
        assert Message.objects.count() == before
        return error.value.message

    def test_what_does_not_exist_or_is_not_ones_own(self, alice: User, mallory: User) -> None:
        assert "no longer exists" in self.refused(alice, [uuid.uuid4()])
        assert "no longer exists" in self.refused(mallory, [stored(alice).pk])

    def test_what_belongs_to_another_conversation(self, alice: User) -> None:
        file = stored(alice)
        say(alice, attachments=[file.pk])
        assert "another conversation" in self.refused(alice, [file.pk])

    def test_too_many(self, alice: User, settings: Any) -> None:
        settings.FILES_PER_MESSAGE = 2
        files = [stored(alice, content=str(number).encode()).pk for number in range(3)]
        with pytest.raises(TooLarge, match="at most 2 files"):
            say(alice, attachments=files)

    def test_a_file_of_a_withheld_message_by_others(self, alice: User, bob: User) -> None:
        made = say(alice, attachments=[stored(alice).pk], ask=False)
        Member.objects.create(conversation_id=made.conversation_id, user=bob, role=Role.EDITOR)
        file = File.objects.get()
        assert names(first_event(say(bob, conversation_id=made.conversation_id, attachments=[file.pk], ask=False)))
        Message.objects.update(moderation={"action": "hold"})
        assert self.refused(bob, [file.pk], conversation_id=made.conversation_id, ask=False)


class TestEdited:
    def edited(self, user: User, made: Accepted, text: str = "Other", **fields: Any) -> Accepted:
        return accept(user.pk, MessageEdit(message_id=made.message_id, client_id=uuid.uuid4(), text=text, **fields))

    def test_an_edit_keeps_the_files_unless_it_names_others(self, alice: User) -> None:
        first, second = stored(alice, "a.txt", b"a"), stored(alice, "b.txt", b"b")
        made = answered(say(alice, attachments=[first.pk]))
        assert names(first_event(answered(self.edited(alice, made)))) == ["a.txt"]
        assert names(first_event(answered(self.edited(alice, made, attachments=[first.pk, second.pk])))) == [
            "a.txt", "b.txt",
        ]  # fmt: skip
        assert names(first_event(answered(self.edited(alice, made, attachments=[])))) == []
        assert Attachment.objects.filter(file=first).count() == 3

    def test_an_edit_without_text_needs_a_file(self, alice: User) -> None:
        made = answered(say(alice, attachments=[stored(alice).pk]))
        assert names(first_event(answered(self.edited(alice, made, "")))) == ["notes.txt"]
        with pytest.raises(Invalid, match="empty"):
            self.edited(alice, made, "", attachments=[])
        bare = answered(say(alice))
        with pytest.raises(Invalid, match="empty"):
            self.edited(alice, bare, "")


class TestInLine:
    def test_a_message_that_waits_has_its_files(self, alice: User, nothing_by_itself: None) -> None:
        made = say(alice)
        file = stored(alice)
        fields = {"conversation_id": made.conversation_id, "when_busy": "queue", "attachments": [file.pk]}
        queued = waiting_line.enqueue(alice.pk, message("", **fields))
        assert queued is not None
        state = async_to_sync(read_snapshot)(made.conversation_id, alice.pk)
        assert [one["name"] for one in state.queued[0]["files"]] == ["notes.txt"]
        file.refresh_from_db()
        assert file.conversation_id == made.conversation_id  # not purged while it waits
        answered(made)
        row = waiting_rows(made.conversation_id)[0]
        sent = accept(alice.pk, waiting_line.command_of(row, None))
        assert sent.message_id == queued.message_id
        assert names(first_event(sent)) == ["notes.txt"]
