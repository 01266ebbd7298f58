"""A message is edited in place or deleted: the old text is gone for everybody but staff with the permission."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync

from accounts.models import User
from chat.conversations.rating import rate
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import store
from chat.models import Conversation, Member, Mention, Message, Reasoning, Revision, Role, Run
from chat.models.moderation import Action, DecisionKind, ModerationCase
from chat.portability.export import export_user_data
from chat.portability.import_file import read_file
from chat.portability.importer import import_conversations
from chat.protocol.commands import MessageEdit, MessageRegenerate, Position
from chat.protocol.errors import (
    Busy,
    ChatError,
    Conflict,
    Forbidden,
    Invalid,
    Moderated,
    NotFound,
    TooLarge,
)
from chat.protocol.limits import MAX_TEXT_BYTES
from chat.review import effects
from chat.runs.context import read_branch
from chat.turns import changing, mentioning
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.changing import CHANGED, delete_message, edit_message
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import row, say
from tests.integration.chat.turns.changed import answer_of
from tests.integration.chat.turns.test_turns import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def log_of(turn: Accepted) -> tuple[str, bytes]:
    """The epoch of a conversation's event log, and all that is in it."""

    async def read() -> tuple[str, bytes]:
        here, _ = await store.position(turn.conversation_id)
        entries = (await store.read(turn.conversation_id, Position(here.epoch, 0))).entries
        return here.epoch, b"".join(entry.body for entry in entries or [])

    return async_to_sync(read)()


def test_an_edit_changes_the_text_and_begins_the_log_again(turn: Accepted, alice: User) -> None:
    before, old = log_of(turn)
    assert b"Which crocodile?" in old
    edited = edit_message(alice.pk, turn.message_id, "Which alligator?\r\nSay.")
    assert edited.edited_at is not None
    epoch, new = log_of(turn)
    assert epoch != before
    assert b"crocodile?" not in new
    assert b'"edited_at":"' in new
    assert Run.objects.filter(conversation=turn.conversation_id).count() == 1  # no model is asked
    assert Conversation.objects.get(pk=turn.conversation_id).title == "Which alligator? Say."
    [shown, _] = async_to_sync(read_snapshot)(turn.conversation_id, alice.pk).messages
    assert (shown["text"], shown["edited_at"]) == ("Which alligator?\nSay.", edited.edited_at.isoformat())
    assert [text for _, text in read_branch(turn.message_id).path] == ["Which alligator?\nSay."]
    [kept] = Revision.objects.all()
    assert (kept.text, kept.kind, kept.changed_by) == ("Which crocodile?", "edited", alice)


def test_the_same_text_is_no_edit(turn: Accepted, alice: User) -> None:
    assert edit_message(alice.pk, turn.message_id, "Which crocodile?").edited_at is None
    assert not Revision.objects.exists()


def test_a_deleted_message_keeps_its_place_without_a_text(turn: Accepted, alice: User) -> None:
    answer = answer_of(turn)
    assert Reasoning.objects.exists()
    before, _ = log_of(turn)
    delete_message(alice.pk, answer.pk)
    delete_message(alice.pk, answer.pk)  # again: nothing
    epoch, log = log_of(turn)
    assert epoch != before
    assert b"Nile" not in log
    assert b"hmm" not in log
    [_, shown] = async_to_sync(read_snapshot)(turn.conversation_id, alice.pk).messages
    assert (shown["text"], shown["html"]) == ("", None)
    assert shown["deleted_at"]
    assert not Reasoning.objects.exists()
    [kept] = Revision.objects.all()
    assert (kept.text, kept.reasoning, kept.kind) == ("The Nile crocodile.", "hmm", "deleted")
    below = say(alice, "And where?", turn.conversation_id)
    assert row(below.run_id).prompt.parent_id == answer.pk
    assert [text for _, text in read_branch(below.message_id).path] == ["Which crocodile?", "And where?"]


def test_an_import_keeps_the_edited_mark(turn: Accepted, alice: User, mallory: User) -> None:
    edited = edit_message(alice.pk, turn.message_id, "Which alligator?")
    exported = "".join(export_user_data(alice)).encode()
    [outcome] = import_conversations(mallory, read_file(io.BytesIO(exported)))
    assert outcome.kind == "new"
    imported = Message.objects.get(conversation__memberships__user=mallory, role="user")
    assert (imported.text, imported.edited_at) == ("Which alligator?", edited.edited_at)


def test_who_may_edit_and_delete(turn: Accepted, alice: User, bob: User, mallory: User) -> None:
    answer = answer_of(turn).pk
    attempts: list[Callable[[], object]] = [
        lambda: edit_message(bob.pk, turn.message_id, "x"),
        lambda: edit_message(bob.pk, answer, "x"),
        lambda: delete_message(bob.pk, turn.message_id),
        lambda: delete_message(bob.pk, answer),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            attempt()
    for unknown in (turn.message_id, uuid.uuid4()):
        with pytest.raises(NotFound):
            edit_message(mallory.pk, unknown, "x")
        with pytest.raises(NotFound):
            delete_message(mallory.pk, unknown)
    Member.objects.filter(user=alice).update(role=Role.VIEWER)
    with pytest.raises(Forbidden):
        edit_message(alice.pk, turn.message_id, "x")
    Member.objects.filter(user=bob).update(role=Role.OWNER)
    with pytest.raises(Forbidden):  # no words in another's mouth
        edit_message(bob.pk, turn.message_id, "x")
    assert edit_message(bob.pk, answer, "The mugger.").text == "The mugger."
    delete_message(bob.pk, turn.message_id)


def test_bad_texts_are_refused(turn: Accepted, alice: User) -> None:
    for text, error in ((" \n", Invalid), ("\x00", Invalid), ("x" * (MAX_TEXT_BYTES + 1), TooLarge)):
        with pytest.raises(error):
            edit_message(alice.pk, turn.message_id, text)
    with pytest.raises(Invalid):
        edit_message(alice.pk, answer_of(turn).pk, " ")
    delete_message(alice.pk, turn.message_id)
    commands: list[Callable[[], object]] = [
        lambda: edit_message(alice.pk, turn.message_id, "x"),
        lambda: accept(alice.pk, MessageEdit(message_id=turn.message_id, client_id=uuid.uuid4(), text="x")),
        lambda: accept(alice.pk, MessageRegenerate(message_id=answer_of(turn).pk, client_id=uuid.uuid4())),
    ]
    for command in commands:
        with pytest.raises(Invalid, match="deleted"):
            command()


def test_not_while_it_is_answered(alice: User) -> None:
    made = say(alice)
    for message_id in (made.message_id, answer_of(made).pk):
        with pytest.raises(Busy):
            delete_message(alice.pk, message_id)
        with pytest.raises(Busy):
            edit_message(alice.pk, message_id, "x")


def test_of_two_edits_at_once_one_wins_and_the_other_hears_of_it(turn: Accepted, alice: User) -> None:
    found = at_once(*[lambda text=text: edit_message(alice.pk, turn.message_id, text, "") for text in ("one", "two")])
    [refused] = [one for one in found if isinstance(one, ChatError)]
    [stored] = [one for one in found if isinstance(one, Message)]
    assert isinstance(refused, Conflict)
    assert refused.message == CHANGED
    assert Message.objects.get(pk=turn.message_id).text == stored.text
    assert stored.edited_at is not None
    assert edit_message(alice.pk, turn.message_id, "three", stored.edited_at.isoformat()).text == "three"


@pytest.mark.usefixtures("no_rules")
@pytest.mark.parametrize("action", [Action.BLOCK, Action.HOLD])
def test_a_text_that_rules_refuse_changes_nothing(turn: Accepted, alice: User, action: Action) -> None:
    add_rule(action, "gator")
    for _ in range(2):
        with pytest.raises(Moderated):
            edit_message(alice.pk, turn.message_id, "Which gator ?")
    assert Message.objects.get(pk=turn.message_id).text == "Which crocodile?"
    assert ModerationCase.objects.count() == 1
    assert not Revision.objects.exists()


@pytest.mark.usefixtures("no_rules")
def test_a_masked_edit_can_be_released_and_an_older_case_cannot(turn: Accepted, alice: User) -> None:
    add_rule(Action.MASK, "gator")
    edited = edit_message(alice.pk, turn.message_id, "Which gator ?")
    assert "gator" not in edited.text
    assert edited.moderation["action"] == "mask"
    case = ModerationCase.objects.get()
    edit_message(alice.pk, turn.message_id, "Which one?")
    assert "edited since" in effects.apply(case, DecisionKind.RELEASE)[0]
    assert Message.objects.get(pk=turn.message_id).text == "Which one?"
    delete_message(alice.pk, turn.message_id)
    assert "deleted since" in effects.apply(case, DecisionKind.RELEASE)[0]
    assert Message.objects.get(pk=turn.message_id).text == ""


def test_over_http(turn: Accepted, alice: User, bob: User) -> None:
    url = f"/messages/{turn.message_id}/"
    answer = logged_in(alice).post(f"{url}edit/", {"text": "Which alligator?", "seen": ""})
    assert answer.json()["text"] == "Which alligator?"
    assert logged_in(alice).post(f"{url}edit/", {"text": "Other", "seen": ""}).status_code == 409
    assert logged_in(bob).post(f"{url}edit/", {"text": "Other"}).status_code == 403
    assert logged_in(alice).post(f"{url}edit/", {}).json()["code"] == "invalid"
    assert logged_in(bob).post(f"{url}delete/").status_code == 403
    assert logged_in(alice).post(f"{url}delete/").json() == {}
    page = logged_in(alice).get(f"/c/{turn.conversation_id}/").content.decode()
    assert "This message was deleted." in page


def test_a_deleted_answer_is_not_rated_again(turn: Accepted, alice: User) -> None:
    answer = answer_of(turn).pk
    rate(alice.pk, answer, 1)
    delete_message(alice.pk, answer)
    with pytest.raises(Invalid):
        rate(alice.pk, answer, -1)
    assert rate(alice.pk, answer, 0).value == 0


def test_an_edit_marks_whom_it_mentions_and_tells_each_once(
    turn: Accepted, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[uuid.UUID] = []

    async def note(_message: Message, people: list[uuid.UUID]) -> None:
        told.extend(people)

    monkeypatch.setattr(changing, "notify_mentioned", note)
    name = bob.display_name
    for text, start in ((f"Look, @{name}", 6), (f"@{name}, look again", 0)):
        message = edit_message(alice.pk, turn.message_id, text)
        assert message.mentions == [{"start": start, "length": len(name) + 1, "user": str(bob.pk)}]
    assert told == [bob.pk]
    assert not edit_message(alice.pk, turn.message_id, "Nobody").mentions
    assert Mention.objects.filter(user=bob, message=turn.message_id).count() == 1


def test_an_edit_mentions_no_more_people_than_a_message(
    turn: Accepted, alice: User, monkeypatch: pytest.MonkeyPatch, bob: User
) -> None:
    monkeypatch.setattr(mentioning, "MOST_MENTIONED", 0)
    with pytest.raises(Invalid):
        edit_message(alice.pk, turn.message_id, f"@{bob.display_name}")
    assert Message.objects.get(pk=turn.message_id).text == "Which crocodile?"
