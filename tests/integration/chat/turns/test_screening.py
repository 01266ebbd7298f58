"""What people write is screened before it is stored: flagged, masked, held or blocked."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.lib.db import in_db
from accounts.models import Plan, Reservation, User
from chat.eventlog import store
from chat.models import Conversation, Message, ModerationCase, Run, Submission
from chat.models.moderation import Action, Direction
from chat.moderation.cases import NOTICES
from chat.protocol.commands import MessageContinue, MessageEdit, MessageRegenerate, TurnOptions
from chat.protocol.errors import Busy, Conflict, Invalid, Moderated
from chat.runs.context import read_branch
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from chat.turns.places import HELD
from chat.turns.submit import announce
from tests.fixtures.moderation_rules import add_rule, drop_rules
from tests.fixtures.quota_rows import end, give, standing, together
from tests.fixtures.run_rows import message, row, say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]

TEXT = "Where does the badger live?"


def the_case() -> ModerationCase:
    return ModerationCase.objects.get()


def events_of(accepted: Accepted) -> list[dict[str, Any]]:
    return [json.loads(body) for append in accepted.announcements for body, _ in append.events]


class TestActions:
    def test_without_a_rule_nothing_is_asked(self, alice: User, django_assert_num_queries: Any) -> None:
        accepted = say(alice, TEXT)
        assert Message.objects.get(pk=accepted.message_id).moderation == {}
        assert not ModerationCase.objects.exists()

    def test_flag_shows_the_message_and_opens_a_case(self, alice: User) -> None:
        add_rule("flag", "badger", severity=3, category="spam")
        accepted = say(alice, TEXT)
        prompt = Message.objects.get(pk=accepted.message_id)
        assert (prompt.text, prompt.moderation) == (TEXT, {})
        case = the_case()
        assert (case.target, case.target_id, case.action, case.severity) == ("message", prompt.pk, "flag", 3)
        assert (case.original, case.person_id, case.conversation_id) == (TEXT, alice.pk, accepted.conversation_id)
        assert "moderation" not in events_of(accepted)[0]["message"]
        assert not accepted.held

    def test_mask_replaces_the_hit_for_everyone(self, alice: User) -> None:
        add_rule("mask", "badger", notice="No badgers.")
        accepted = say(alice, TEXT)
        prompt = Message.objects.get(pk=accepted.message_id)
        case = the_case()
        assert prompt.text == "Where does the *** live?"
        assert prompt.moderation == {"action": "mask", "reason": "No badgers.", "case_id": str(case.pk)}
        assert case.original == TEXT
        assert Conversation.objects.get().title == "Where does the *** live?"
        assert read_branch(prompt.pk).path == [("user", "Where does the *** live?")]
        created, notice, *_ = events_of(accepted)
        assert created["message"]["moderation"] == prompt.moderation
        assert (notice["type"], notice["message_id"]) == ("moderation.notice", str(prompt.pk))
        assert row(accepted.run_id).status == "queued"

    def test_a_repeated_masked_command_is_a_duplicate(self, alice: User) -> None:
        add_rule("mask", "badger")
        command = message(TEXT)
        first = accept(alice.pk, command)
        assert accept(alice.pk, command).duplicate
        drop_rules()
        again = accept(alice.pk, command)
        assert (again.duplicate, again.message_id) == (True, first.message_id)
        with pytest.raises(Conflict):
            accept(alice.pk, message("Where does the *** live?", client_id=command.client_id))

    def test_block_writes_nothing_but_the_case(self, alice: User) -> None:
        give(alice, 5)
        add_rule("block", "badger", notice="No badgers here.")
        command = message(TEXT)
        with pytest.raises(Moderated) as refused:
            accept(alice.pk, command)
        case = the_case()
        assert (refused.value.message, refused.value.case_id) == ("No badgers here.", case.pk)
        assert (case.target, case.target_id, case.original) == ("refused", command.client_id, TEXT)
        counts = [kind.objects.count() for kind in (Conversation, Message, Run, Submission, Reservation)]
        assert counts == [0, 0, 0, 0, 0]

    def test_a_repeated_blocked_command_finds_its_case_also_when_it_is_decided(self, alice: User) -> None:
        add_rule("block", "badger")
        command = message(TEXT)
        answers = together(4, lambda _: accept(alice.pk, command))
        ModerationCase.objects.update(status="decided")
        with pytest.raises(Moderated) as again:
            accept(alice.pk, command)
        assert {one.case_id for one in answers} == {the_case().pk} == {again.value.case_id}
        with pytest.raises(Conflict):
            accept(alice.pk, message(f"{TEXT} Again.", client_id=command.client_id))

    def test_another_user_with_the_same_client_id_sees_no_case_of_others(self, alice: User, bob: User) -> None:
        add_rule("block", "badger")
        command = message(TEXT)
        with pytest.raises(Moderated):
            accept(alice.pk, command)
        with pytest.raises(Conflict):
            accept(bob.pk, command)

    def test_a_blocked_command_is_carried_out_once_the_rule_is_off(self, alice: User) -> None:
        add_rule("block", "badger")
        command = message(TEXT)
        with pytest.raises(Moderated):
            accept(alice.pk, command)
        drop_rules()
        assert not accept(alice.pk, command).duplicate
        assert the_case().target == "refused"

    def test_hold_stores_no_text_and_a_run_without_a_job(self, alice: User) -> None:
        give(alice, 5)
        add_rule("hold", "badger")
        accepted = say(alice, TEXT)
        prompt, run, case = Message.objects.get(pk=accepted.message_id), row(accepted.run_id), the_case()
        assert (prompt.text, prompt.moderation["action"], case.original) == ("", "hold", TEXT)
        assert prompt.moderation["reason"] == NOTICES[Action(case.action)]
        assert (run.status, run.waiting_for, run.enqueued_at, run.lease_owner) == ("waiting", "moderation", None, "")
        assert accepted.held
        assert standing(alice) == {"messages": (0, 1)}
        assert Conversation.objects.get().title == ""
        kinds = [event["type"] for event in events_of(accepted)]
        assert kinds == ["message.created", "moderation.notice", "message.created", "run.waiting"]
        assert events_of(accepted)[-1] | {} == {
            "type": "run.waiting", "for": "moderation", "attempt": 1, "model": "small", "run_id": str(run.pk),
            "message_id": str(run.message_id), "conversation_id": str(run.conversation_id),
        }  # fmt: skip
        assert TEXT not in json.dumps(events_of(accepted)) + json.dumps(accepted.listing)

    def test_the_severer_rule_holds(self, alice: User) -> None:
        add_rule("flag", "badger")
        add_rule("mask", "live")
        add_rule("block", "where")
        with pytest.raises(Moderated):
            say(alice, TEXT)
        assert len(the_case().rules) == 3

    def test_several_models_wait_all_and_reserve_all(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "chat.catalog.offered_models.published_models", lambda: [{"id": one, "label": one} for one in ("a", "b")]
        )
        give(alice, 5)
        add_rule("hold", "badger")
        say(alice, TEXT, models=["a", "b"])
        assert [(run.status, run.enqueued_at) for run in Run.objects.all()] == [("waiting", None)] * 2
        assert standing(alice) == {"messages": (0, 2)}
        assert ModerationCase.objects.count() == 1


class TestAudience:
    def test_a_rule_for_a_model_counts_if_any_of_several_is_asked(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ("a", "b", "c")
        monkeypatch.setattr(
            "chat.catalog.offered_models.published_models", lambda: [{"id": one, "label": one} for one in names]
        )
        add_rule("block", "badger", only_models=["b"])
        say(alice, TEXT, model="a")
        say(alice, TEXT, models=["a", "c"])
        for fields in ({"model": "b"}, {"models": ["a", "b"]}):
            with pytest.raises(Moderated):
                say(alice, TEXT, **fields)

    def test_rules_for_groups_and_plans(self, alice: User, bob: User) -> None:
        group = Group.objects.create(name="pupils")
        alice.groups.add(group)
        add_rule("block", "badger").groups.add(group)
        plan = Plan.objects.create(name="Strict")
        add_rule("block", "live").plans.add(plan)
        User.objects.filter(pk=bob.pk).update(plan=plan)
        with pytest.raises(Moderated):
            say(alice, TEXT)
        say(alice, "Where do they live?")
        with pytest.raises(Moderated):
            say(bob, "Where do they live?")

    def test_only_rules_of_the_direction_count(self, alice: User) -> None:
        add_rule("block", "badger", ["answered", "spoken"])
        say(alice, TEXT)
        with pytest.raises(Moderated):
            accept(alice.pk, message(TEXT), direction=Direction.SPOKEN)


class TestTitles:
    def test_a_title_of_the_words_of_a_message_is_screened_by_rules_for_names(self, alice: User) -> None:
        add_rule("mask", "badger", ["named"])
        say(alice, TEXT)
        assert Conversation.objects.get().title == "Where does the *** live?"
        assert not ModerationCase.objects.exists()

    @pytest.mark.parametrize("action", ["hold", "block"])
    def test_it_is_empty_if_names_like_it_are_refused(self, alice: User, action: str) -> None:
        add_rule(action, "badger", ["named"])
        say(alice, TEXT)
        assert Conversation.objects.get().title == ""


class TestSystemPrompt:
    def test_it_is_masked_in_the_conversation(self, alice: User) -> None:
        add_rule("mask", "badger")
        accepted = say(alice, "Hello", options=TurnOptions(system_prompt="You are a badger."))
        assert Conversation.objects.get().system_prompt == "You are a ***."
        case = the_case()
        assert (case.target_id, case.original) == (accepted.conversation_id, "You are a badger.")

    @pytest.mark.parametrize("action", ["hold", "block"])
    def test_it_is_refused(self, alice: User, action: str) -> None:
        add_rule(action, "badger")
        command = message("Hello", options=TurnOptions(system_prompt="You are a badger."))
        with pytest.raises(Moderated) as refused:
            accept(alice.pk, command)
        case = the_case()
        assert (refused.value.message, case.action) == (NOTICES[Action.BLOCK], "block")
        assert (case.target_id, case.original) == (command.client_id, "You are a badger.")
        assert not Conversation.objects.exists()


class TestFurtherTurns:
    def test_an_edit_is_screened(self, alice: User) -> None:
        accepted = say(alice)
        end(accepted.run_id)
        add_rule("mask", "badger")
        edited = accept(alice.pk, MessageEdit(message_id=accepted.message_id, client_id=uuid.uuid4(), text=TEXT))
        assert Message.objects.get(pk=edited.message_id).text == "Where does the *** live?"

    def test_a_masked_message_is_not_screened_again_when_it_is_regenerated(self, alice: User) -> None:
        add_rule("mask", "badger")
        accepted = say(alice, TEXT)
        end(accepted.run_id)
        add_rule("block", "live")
        command = MessageRegenerate(message_id=row(accepted.run_id).message_id, client_id=uuid.uuid4())
        assert not accept(alice.pk, command).duplicate
        assert ModerationCase.objects.count() == 1

    def test_a_held_message_makes_the_conversation_wait_but_can_be_edited(self, alice: User) -> None:
        add_rule("hold", "badger")
        held = say(alice, TEXT)
        for parent in (None, row(held.run_id).message_id):
            with pytest.raises(Busy) as busy:
                say(alice, "And?", held.conversation_id, parent_id=parent)
            assert busy.value.message == HELD
        with pytest.raises(Busy):
            accept(alice.pk, MessageRegenerate(message_id=row(held.run_id).message_id, client_id=uuid.uuid4()))
        edited = accept(alice.pk, MessageEdit(message_id=held.message_id, client_id=uuid.uuid4(), text="Where?"))
        assert (row(edited.run_id).status, row(held.run_id).status) == ("queued", "waiting")
        assert Conversation.objects.get().title == "Where?"

    def test_a_waiting_answer_is_not_continued(self, alice: User) -> None:
        add_rule("hold", "badger")
        held = say(alice, TEXT)
        with pytest.raises((Moderated, Invalid)):
            accept_continue(
                alice.pk, MessageContinue(message_id=row(held.run_id).message_id, client_id=uuid.uuid4())
            )  # fmt: skip

    def test_a_waiting_run_is_none_of_the_answers_in_progress(self, alice: User, settings: Any) -> None:
        settings.RATE_RUNS_PER_USER = 1
        add_rule("hold", "badger")
        say(alice, TEXT)
        say(alice, TEXT)
        say(alice, "Hello")


@pytest.mark.usefixtures("layer")
class TestLog:
    async def test_the_log_of_a_held_message_has_no_text(self, alice: User) -> None:
        await in_db(add_rule, "hold", "badger")
        accepted = await in_db(say, alice, TEXT)
        await announce(accepted)
        here, _ = await store.position(accepted.conversation_id)
        entries = await store.entries(accepted.conversation_id, after=0, until=here.seq)
        assert len(entries) == 4
        assert not any(b"badger" in entry.body for entry in entries)
