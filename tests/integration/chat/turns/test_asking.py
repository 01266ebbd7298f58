"""Messages that ask nobody: when a message asks, where it goes, and what the model reads of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync
from django.db import connection

from accounts.models import User
from chat.catalog import offered_models
from chat.conversations.titles import find_untitled
from chat.models import (
    Conversation,
    Message,
    Run,
    RunStatus,
    Submission,
    Unannounced,
)  # fmt: skip
from chat.protocol.commands import MessageEdit, MessageRegenerate, MessageSend
from chat.protocol.errors import Busy, Conflict, Invalid
from chat.recovery import reaper
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.turns.accept import accept
from chat.turns.accepted import Accepted, fingerprint_of
from chat.turns.submit import submit
from chat.turns.unasked import find_unannounced
from tests.fixtures.asking import claimed, finish, logged, send, share
from tests.fixtures.run_rows import message, say

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "one_model")]


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """A conversation of Alice and Bob, an editor; the model has answered Alice's first message."""
    return share(alice, bob)


def offer(monkeypatch: Any, *names: str) -> None:
    models = [{"id": name, "label": name} for name in names]
    monkeypatch.setattr(offered_models, "published_models", lambda: models)


def path(message_id: uuid.UUID | None) -> list[str]:
    """The texts from the first message to this one."""
    texts: list[str] = []
    while message_id is not None:
        one = Message.objects.get(pk=message_id)
        texts.insert(0, one.text)
        message_id = one.parent_id
    return texts


def tip(conversation: Conversation) -> uuid.UUID | None:
    conversation.refresh_from_db()
    return conversation.tip_id


class TestTheRule:
    def test_one_person_is_always_answered(self, alice: User) -> None:
        first = accept(alice.pk, message("Hello"))
        assert first.asked_run_id is not None
        finish(first)
        assert accept(alice.pk, message("And?", conversation_id=first.conversation_id)).asked_run_id is not None

    def test_several_people_are_answered_when_they_mention_the_model(self, shared: Conversation, bob: User) -> None:
        assert send(bob, "I think so", shared).asked_run_id is None
        assert send(bob, "`@model` is how you ask", shared).asked_run_id is None
        assert send(bob, "What does @model say?", shared).asked_run_id is not None

    def test_the_name_of_a_model_asks_that_model(self, shared: Conversation, bob: User, monkeypatch: Any) -> None:
        offer(monkeypatch, "usual", "lab/other")
        asked = send(bob, "@Other please", shared, model="usual")
        assert Run.objects.get(pk=asked.run_id).model == "lab/other"
        assert Message.objects.get(pk=asked.message_id).mentions == [{"start": 0, "length": 6, "model": "lab/other"}]
        shared.refresh_from_db()
        assert shared.model == "", "the conversation keeps its model"

    @pytest.mark.parametrize(
        ("rule", "ask", "text", "asks"),
        [("always", None, "Hm", True), ("always", False, "Hm", False), ("always", False, "@model", False),
         ("mentioned", True, "Hm", True), ("mentioned", None, "Hm", False), ("", True, "Hm", True)],
    )  # fmt: skip
    def test_what_was_chosen_goes_before(
        self, shared: Conversation, bob: User, rule: str, ask: bool | None, text: str, asks: bool
    ) -> None:
        Conversation.objects.update(answers=rule)
        assert (send(bob, text, shared, ask=ask).asked_run_id is not None) is asks

    def test_one_person_who_wants_to_be_answered_when_they_ask(self, alice: User) -> None:
        first = say(alice)
        finish(first)
        Conversation.objects.update(answers="mentioned")
        assert accept(alice.pk, message("A note", conversation_id=first.conversation_id)).asked_run_id is None

    def test_a_message_to_several_models_asks_them(self, shared: Conversation, bob: User, monkeypatch: Any) -> None:
        offer(monkeypatch, "one", "two")
        assert len(send(bob, "Compare", shared, models=["one", "two"]).several) == 2

    def test_an_edited_message_asks_if_it_asked_before(self, shared: Conversation, bob: User) -> None:
        note = send(bob, "A note", shared)

        def edit(one: Accepted, text: str, ask: bool | None = None) -> Accepted:
            return accept(bob.pk, MessageEdit(message_id=one.message_id, client_id=uuid.uuid4(), text=text, ask=ask))

        changed = edit(note, "Another note")
        assert changed.asked_run_id is None
        assert path(changed.message_id) == ["Hello", "Yes", "Another note"]
        asked = edit(note, "@model a question")
        assert asked.asked_run_id is not None
        finish(asked)
        assert edit(asked, "a better question").asked_run_id is not None
        assert edit(asked, "no question", ask=False).asked_run_id is None


class TestTheTree:
    def test_messages_of_people_follow_one_another(self, shared: Conversation, alice: User, bob: User) -> None:
        send(bob, "One", shared)
        send(alice, "Two", shared)
        asked = send(bob, "@model three", shared)
        assert path(asked.message_id) == ["Hello", "Yes", "One", "Two", "@model three"]
        got = claimed(asked)
        assert got.path == [
            ("user", "Alice: Hello"), ("assistant", "Yes"), ("user", "Bob: One"), ("user", "Alice: Two"),
            ("user", "Bob: @model three"),
        ]  # fmt: skip

    def test_people_write_while_an_answer_is_written(self, shared: Conversation, alice: User, bob: User) -> None:
        asked = send(alice, "@model go", shared)
        got = claimed(asked)
        meanwhile = send(bob, "Meanwhile", shared)
        assert meanwhile.asked_run_id is None
        assert Message.objects.get(pk=meanwhile.message_id).parent_id == got.run.message_id
        send(alice, "And more", shared)
        with pytest.raises(Busy):
            send(bob, "@model and now?", shared)
        end_run(got.run.id, got.run.attempt, RunStatus.DONE, Ending("Done"))
        following = claimed(send(bob, "@model and now?", shared))
        assert following.path[2:] == [
            ("user", "Alice: @model go"), ("assistant", "Done"), ("user", "Bob: Meanwhile"),
            ("user", "Alice: And more"), ("user", "Bob: @model and now?"),
        ]  # fmt: skip

    def test_what_names_the_question_follows_its_answer(self, shared: Conversation, alice: User, bob: User) -> None:
        asked = send(alice, "@model go", shared)
        late = send(bob, "About your question", shared, parent_id=asked.message_id)
        parent = Message.objects.get(pk=late.message_id).parent
        assert parent is not None
        assert parent.role == "assistant"

    def test_an_edit_that_asks_waits_for_the_answer_above_it(
        self, shared: Conversation, alice: User, bob: User
    ) -> None:
        send(alice, "@model go", shared)
        note = send(bob, "Meanwhile", shared)
        with pytest.raises(Busy):
            accept(bob.pk, MessageEdit(message_id=note.message_id, client_id=uuid.uuid4(), text="x", ask=True))
        assert accept(
            bob.pk, MessageEdit(message_id=note.message_id, client_id=uuid.uuid4(), text="y")
        ).asked_run_id is None  # fmt: skip

    def test_not_while_several_answers_are_written(
        self, shared: Conversation, alice: User, bob: User, monkeypatch: Any
    ) -> None:
        offer(monkeypatch, "one", "two")
        send(alice, "Compare", shared, models=["one", "two"])
        with pytest.raises(Busy):
            send(bob, "Meanwhile", shared)

    def test_a_note_chooses_the_answer_it_follows(
        self, shared: Conversation, alice: User, bob: User, monkeypatch: Any
    ) -> None:
        offer(monkeypatch, "one", "two")
        several = send(alice, "Compare", shared, models=["one", "two"]).several
        for run in several:
            assert claim(run.pk, "w")
            end_run(run.pk, 1, RunStatus.DONE, Ending(f"By {run.model}"))
        note = send(bob, "The second one is better", shared, parent_id=several[1].message_id)
        assert path(note.message_id)[-2:] == ["By two", "The second one is better"]
        shared.refresh_from_db()
        assert shared.model == "two"
        with connection.cursor() as cursor:
            cursor.execute("UPDATE chat_unannounced SET created_at = clock_timestamp() - interval '1 minute'")
        [late] = find_unannounced(5)
        assert [json.loads(body)["type"] for body, _ in late.events] == ["answer.chosen", "message.created"]

    def test_a_new_conversation_may_begin_with_a_note(self, alice: User) -> None:
        note = accept(alice.pk, message("A note", ask=False))
        assert note.asked_run_id is None
        assert Conversation.objects.get().title == "A note"
        temporary = accept(alice.pk, message("Another", ask=False, temporary=True))
        assert Conversation.objects.get(pk=temporary.conversation_id).temporary

    def test_the_title_is_of_what_people_wrote_before_the_first_answer(self, alice: User) -> None:
        accept(alice.pk, message("Crocodiles", ask=False))
        conversation = Conversation.objects.get()
        asked = send(alice, "How long do they live?", conversation, ask=True)
        finish(asked, "Long")
        answer = Run.objects.get(pk=asked.run_id).message_id
        first = find_untitled(answer, chars=100)
        assert first is not None
        assert (first.title, first.question) == ("Crocodiles", "Crocodiles\n\nHow long do they live?")
        second = send(alice, "And?", conversation, ask=True)
        finish(second)
        assert find_untitled(Run.objects.get(pk=second.run_id).message_id, chars=100) is None

    def test_the_model_is_asked_about_the_last_message(self, shared: Conversation, alice: User, bob: User) -> None:
        first = send(alice, "One", shared)
        last = send(alice, "Two", shared)

        def ask(one: Accepted) -> Accepted:
            return accept(bob.pk, MessageRegenerate(message_id=one.message_id, client_id=uuid.uuid4()))

        with pytest.raises(Invalid, match="the last message"):
            ask(first)
        got = claimed(ask(last))
        assert got.path[-2:] == [("user", "One"), ("user", "Two")]
        assert (got.run.prompt_id, got.run.user_id) == (last.message_id, bob.pk)


class TestIdempotency:
    def test_a_note_sent_twice_is_one(self, shared: Conversation, bob: User) -> None:
        command = message("A note", conversation_id=shared.pk)
        first, again = accept(bob.pk, command), accept(bob.pk, command)
        assert (again.message_id, again.asked_run_id, again.duplicate) == (first.message_id, None, True)
        assert Submission.objects.filter(message=first.message_id).count() == 1
        with pytest.raises(Conflict):
            accept(bob.pk, msgspec.structs.replace(command, ask=True))

    def test_fingerprints_from_before_the_field_stay_valid(self) -> None:
        known = MessageSend(
            conversation_id=uuid.UUID(int=1), client_id=uuid.UUID(int=2), text="Hello", model="m"
        )  # fmt: skip
        assert fingerprint_of(known).hex() == "898e352ee3dbdb6a1c4645cd178142f75e95138b65e658f56e7dd67ab02c42ec"
        assert fingerprint_of(msgspec.structs.replace(known, ask=False)) != fingerprint_of(known)


@pytest.mark.django_db(transaction=True)
class TestDelivery:
    def test_announced_once(self, shared: Conversation, bob: User) -> None:
        command = message("A note", conversation_id=shared.pk)
        submitted = async_to_sync(submit)(bob.pk, command)
        async_to_sync(submit)(bob.pk, command)
        assert submitted.accepted.runs == []
        [event] = logged(shared)
        assert event["type"] == "message.created"
        assert event["message"]["client_id"] == str(command.client_id)
        assert event["message"]["run"] is None
        assert not Unannounced.objects.exists()
        assert tip(shared) == submitted.accepted.message_id

    def test_the_recovery_announces_what_a_dead_process_did_not(self, shared: Conversation, bob: User) -> None:
        accepted = send(bob, "A note", shared)  # committed, and then the process dies
        async_to_sync(reaper.announce_unasked)()
        assert logged(shared) == [], "too soon: its process may be about to"
        with connection.cursor() as cursor:
            cursor.execute("UPDATE chat_unannounced SET created_at = clock_timestamp() - interval '1 minute'")
        async_to_sync(reaper.announce_unasked)()
        async_to_sync(reaper.announce_unasked)()
        assert [event["message"]["id"] for event in logged(shared)] == [str(accepted.message_id)]
        assert not Unannounced.objects.exists()

    def test_who_asked_is_in_the_answer(self, shared: Conversation, bob: User) -> None:
        async_to_sync(submit)(bob.pk, message("@model", conversation_id=shared.pk))
        answer = next(
            event["message"] for event in logged(shared) if event.get("message", {}).get("role") == "assistant"
        )
        assert answer["asked_by"] == {"id": str(bob.pk), "name": "Bob"}
