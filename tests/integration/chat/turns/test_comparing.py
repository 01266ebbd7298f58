"""Several models side by side, row by row: what a comparison makes, who may choose, and every race around it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.lib.db import in_db
from accounts.models import Price, Quota, Reservation, Unit, UsageEntry, User
from chat.conversations.snapshot import read_snapshot, read_state
from chat.conversations.titles import find_untitled
from chat.eventlog import store
from chat.models import Comparison, Conversation, KnownModel, Member, Message, Run, RunStatus
from chat.protocol.commands import MessageContinue, MessageEdit, MessageRegenerate
from chat.protocol.errors import Busy, ChatError, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, RateLimited
from chat.recovery.reaper import close_endings
from chat.runs.closing import announcements, mark_ended_in_log
from chat.runs.context import read_branch
from chat.runs.ending import Ending, end_run
from chat.runs.lifecycle import claim
from chat.turns import choosing
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.choosing import accept_choice
from chat.turns.continuing import accept_continue
from chat.turns.stop import mark_stopped
from chat.turns.submit import submit
from tests.fixtures.quota_rows import Elsewhere, give, standing, together
from tests.fixtures.run_rows import message, row, say

THREE = ["small", "medium", "large"]


@pytest.fixture(autouse=True)
def _offered(one_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from chat.catalog import offered_models

    offered = [{"id": name, "label": name} for name in (*THREE, "tiny", "huge")]
    monkeypatch.setattr(offered_models, "published_models", lambda: offered)


pytestmark = [pytest.mark.django_db(transaction=True)]


def compare(user: User, models: list[str] | None = None, **fields: Any) -> Accepted:
    return say(user, models=models or THREE, **fields)


def finish(run_id: uuid.UUID, text: str = "Hi", status: RunStatus = RunStatus.DONE, **fields: Any) -> None:
    claim(run_id, "w")
    ending = Ending(text, finish="stop", input_tokens=10, output_tokens=3, endpoint="host", total_ms=500, **fields)
    assert end_run(run_id, row(run_id).attempt, status, ending, owner="w") is not None
    mark_ended_in_log([run_id])


def finished(user: User, *texts: str, **fields: Any) -> Accepted:
    """A comparison whose answers are complete."""
    accepted = compare(user, **fields)
    for run, text in zip(accepted.several, texts or ("one", "two", "three"), strict=True):
        finish(run.pk, text)
    return accepted


def retry(user: User, answer: uuid.UUID, **fields: Any) -> Accepted:
    return accept(user.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4(), **fields))


def nothing_written() -> bool:
    return not (Conversation.objects.exists() or Run.objects.exists() or Reservation.objects.exists())


async def logged(conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    here, _ = await store.position(conversation_id)
    return [json.loads(entry.body) for entry in await store.entries(conversation_id, after=0, until=here.seq)]


class TestWhatItMakes:
    def test_one_question_with_an_answer_and_a_run_for_each_model(self, alice: User) -> None:
        accepted = compare(alice)
        runs = list(Run.objects.order_by("slot"))
        assert [(run.model, run.slot, run.status, run.part) for run in runs] == [
            ("small", 1, "queued", 1), ("medium", 2, "queued", 1), ("large", 3, "queued", 1),
        ]  # fmt: skip
        prompt = Message.objects.get(role="user")
        answers = list(Message.objects.filter(role="assistant").order_by("created_at"))
        assert [answer.pk for answer in answers] == [run.message_id for run in runs]
        assert {answer.parent_id for answer in answers} == {prompt.pk} == {run.prompt_id for run in runs}
        assert (accepted.message_id, accepted.run_id) == (prompt.pk, runs[0].pk)
        comparison = Comparison.objects.get()
        assert (comparison.pk, comparison.size, comparison.chosen_id) == (prompt.pk, 3, None)
        assert all(run.enqueued_at and run.created_at for run in runs)

    def test_a_repeat_gives_the_same_runs(self, alice: User) -> None:
        command = message(models=THREE)
        first = accept(alice.pk, command)
        finish(first.several[1].pk, status=RunStatus.FAILED)
        retry(alice, first.several[1].message_id)
        again = accept(alice.pk, command)
        assert again.duplicate
        assert [run.pk for run in again.several] == [run.pk for run in first.several]
        with pytest.raises(Conflict):
            accept(alice.pk, message(models=["small", "large"], client_id=command.client_id))

    def test_an_edited_question_can_be_compared_as_well(self, alice: User) -> None:
        first = say(alice)
        finish(first.run_id)
        command = MessageEdit(message_id=first.message_id, client_id=uuid.uuid4(), text="Anew", models=THREE)
        accepted = accept(alice.pk, command)
        assert [run.slot for run in accepted.several] == [1, 2, 3]
        assert Message.objects.get(pk=accepted.message_id).text == "Anew"

    def test_it_goes_with_its_conversation(self, alice: User) -> None:
        accepted = finished(alice)
        accept_choice(alice.pk, accepted.several[1].message_id)
        Conversation.objects.get().delete()
        assert [model.objects.count() for model in (Comparison, Message, Run)] == [0, 0, 0]

    def test_a_temporary_chat(self, alice: User) -> None:
        accepted = compare(alice, temporary=True)
        assert Conversation.objects.get(pk=accepted.conversation_id).temporary

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"models": ["small", "small"]}, Invalid),
            ({"models": THREE, "model": "small"}, Invalid),
            ({"models": ["small", "unknown"]}, Invalid),
        ],
    )
    def test_what_is_refused_leaves_nothing(self, alice: User, fields: dict[str, Any], error: type[ChatError]) -> None:
        with pytest.raises(error):
            say(alice, **fields)
        assert nothing_written()

    def test_each_model_must_be_the_user_s_to_use(self, alice: User) -> None:
        limited = KnownModel.objects.create(name="large", limited=True)
        limited.groups.add(Group.objects.create(name="research"))
        from chat.catalog.access import clear_rules_cache

        clear_rules_cache()
        try:
            with pytest.raises(Forbidden):
                compare(alice)
        finally:
            clear_rules_cache()
        assert nothing_written()

    async def test_the_log_announces_each_run_once(self, alice: User, layer: None) -> None:
        submitted = await submit(alice.pk, message(models=THREE))
        events = await logged(submitted.accepted.conversation_id)
        kinds = ["message.created", "message.created", "run.queued", *(["message.created", "run.queued"] * 2)]
        assert [event["type"] for event in events] == kinds
        question, *answers = [event["message"] for event in events if event["type"] == "message.created"]
        assert question["comparison"] == {"size": 3, "chosen": None}
        assert [answer["slot"] for answer in answers] == [1, 2, 3]
        assert submitted.position.seq == 0

    async def test_a_repeat_is_followed_from_before_the_first_announcement(self, alice: User, layer: None) -> None:
        """A worker that was quicker has announced its run, with the question, before the process that accepted it."""
        command = message(models=THREE)
        accepted = await in_db(accept, alice.pk, command)
        second = accepted.several[1]
        early = (await in_db(announcements, [second.pk]))[second.pk]
        await store.append(store.Append(accepted.conversation_id, early, second.pk, attempt=0, number=1))
        await store.append(*accepted.announcements)
        again = await submit(alice.pk, command)
        assert again.position.seq == 0
        assert sum(event["type"] == "run.queued" for event in await logged(accepted.conversation_id)) == 3


class TestLimits:
    def test_there_must_be_room_for_all(self, alice: User, settings: Any) -> None:
        settings.RATE_RUNS_PER_USER = 4
        compare(alice, ["small", "large"])
        with pytest.raises(RateLimited, match="room for only 2 more, and you asked for 3 answers"):
            compare(alice)
        assert Run.objects.count() == 2
        compare(alice, ["small", "large"])
        with pytest.raises(RateLimited, match="Too many answers"):
            say(alice)

    def test_more_than_the_limit_allows_is_never_possible(self, alice: User, settings: Any) -> None:
        settings.RATE_RUNS_PER_USER = 2
        with pytest.raises(Invalid, match="at most 2 answers"):
            compare(alice)

    def test_a_quota_for_all_but_one_refuses_them_all(self, alice: User) -> None:
        give(alice, 2)
        with pytest.raises(QuotaExceeded, match="room for 2 of these 3 answers"):
            compare(alice)
        assert nothing_written()
        assert standing(alice)["messages"] == (0, 0)
        compare(alice, ["small", "large"])
        assert standing(alice)["messages"] == (0, 2)

    def test_a_quota_of_one_model_counts_its_answer_only(self, alice: User) -> None:
        give(alice, 1, model="large")
        compare(alice)
        assert standing(alice)["messages"] == (0, 1)
        with pytest.raises(QuotaExceeded):
            compare(alice)
        compare(alice, ["small", "medium"])

    def test_a_spending_limit_needs_a_price_for_each(self, alice: User) -> None:
        from django.utils import timezone

        give(alice, 100, Unit.MONEY)
        Price.objects.create(valid_from=timezone.now(), model="small", input_per_million=1, output_per_million=1)
        with pytest.raises(QuotaExceeded, match=r"room for 1 of these 3 answers\. This model has no price"):
            compare(alice)
        assert nothing_written()

    def test_each_run_is_settled_by_itself(self, alice: User) -> None:
        give(alice, 10)
        first, second, third = compare(alice).several
        assert standing(alice)["messages"] == (0, 3)
        finish(first.pk)
        finish(second.pk, "", RunStatus.FAILED)
        assert standing(alice)["messages"] == (1, 1)
        assert list(UsageEntry.objects.values_list("run_id", flat=True)) == [first.pk]
        assert list(Reservation.objects.values_list("run_id", flat=True)) == [third.pk]

    def test_comparisons_of_a_shared_quota_do_not_lock_each_other_out(self, alice: User, bob: User) -> None:
        """Quotas of models and of all of them, in an order in which one by one they would deadlock."""
        group = Group.objects.create(name="team")
        for user in (alice, bob):
            user.groups.add(group)
        for model in ("small", "", "large", "medium"):
            Quota.objects.create(group=group, unit="messages", period="day", limit=1000, shared=True, model=model)
        say(alice)
        orders = [THREE, THREE[::-1], ["large"], ["medium", "small"]]

        def work(number: int) -> Any:
            user, models = (alice, bob)[number % 2], orders[number % 4]
            return [say(user, **({"models": models} if len(models) > 1 else {"model": models[0]})) for _ in range(5)]

        # The pool has eight connections, and this thread has one: nobody waits for one.
        assert [one for one in together(7, work) if isinstance(one, Exception)] == []


class TestWhileTheyRun:
    def test_no_other_message_until_all_have_ended(self, alice: User) -> None:
        accepted = compare(alice)
        finish(accepted.several[0].pk)
        finish(accepted.several[1].pk)
        for parent in (None, accepted.several[0].message_id):
            with pytest.raises(Busy):
                say(alice, "Next", accepted.conversation_id, parent_id=parent)
        assert Comparison.objects.get().chosen_id is None
        finish(accepted.several[2].pk)
        say(alice, "Next", accepted.conversation_id)

    def test_a_failed_one_is_tried_again_beside_the_others(self, alice: User) -> None:
        accepted = compare(alice)
        failed = accepted.several[1]
        finish(failed.pk, "", RunStatus.FAILED)
        again = row(retry(alice, failed.message_id).run_id)
        assert (again.slot, again.model, again.prompt_id) == (2, "medium", accepted.message_id)
        assert [row(run.pk).status for run in accepted.several] == ["queued", "failed", "queued"]
        with pytest.raises(Busy):
            retry(alice, failed.message_id)
        with pytest.raises(Busy):
            retry(alice, accepted.several[0].message_id)

    def test_the_conversation_s_model_stays_when_one_is_tried_again(self, alice: User) -> None:
        accepted = finished(alice)
        before = Conversation.objects.get().model
        retry(alice, accepted.several[1].message_id, model="tiny")
        assert Conversation.objects.get().model == before

    def test_a_cut_one_is_continued_beside_the_others(self, alice: User) -> None:
        accepted = compare(alice)
        cut = accepted.several[2]
        finish(cut.pk, "Half of", RunStatus.STOPPED)
        go_on = MessageContinue(message_id=cut.message_id, client_id=uuid.uuid4())
        more = row(accept_continue(alice.pk, go_on).run_id)
        assert (more.slot, more.part, more.message_id) == (3, 2, cut.message_id)
        with pytest.raises(Busy):
            accept_continue(alice.pk, MessageContinue(message_id=cut.message_id, client_id=uuid.uuid4()))

    def test_two_tabs_try_the_same_one_again_at_once(self, alice: User) -> None:
        accepted = finished(alice)
        answer = accepted.several[1].message_id
        results = together(4, lambda _: retry(alice, answer))
        assert sum(isinstance(one, Accepted) for one in results) == 1
        assert sum(isinstance(one, Busy) for one in results) == 3

    def test_the_same_command_twice_at_once_is_one(self, alice: User) -> None:
        accepted = finished(alice)
        command = MessageRegenerate(message_id=accepted.several[1].message_id, client_id=uuid.uuid4())
        results = together(4, lambda _: accept(alice.pk, command))
        assert len({one.run_id for one in results}) == 1
        assert sum(not one.duplicate for one in results) == 1

    def test_stopping_one_leaves_the_others(self, alice: User) -> None:
        first, second, third = compare(alice).several
        mark_stopped(second.pk)
        assert [row(run.pk).status for run in (first, second, third)] == ["queued", "stopped", "queued"]


class TestChoosing:
    def test_the_conversation_goes_on_with_it(self, alice: User) -> None:
        accepted = finished(alice)
        chosen = accepted.several[1]
        accept_choice(alice.pk, chosen.message_id)
        conversation = Conversation.objects.get()
        assert (conversation.tip_id, conversation.model) == (chosen.message_id, "medium")
        following = say(alice, "Next", accepted.conversation_id)
        run = row(following.run_id)
        assert (run.model, run.slot) == ("medium", 0)
        assert read_branch(following.message_id).path == [("user", "Hello"), ("assistant", "two"), ("user", "Next")]
        assert Message.objects.filter(parent=accepted.message_id).count() == 3

    async def test_the_others_stop(self, alice: User, layer: None) -> None:
        accepted = await in_db(compare, alice)
        first, second, third = accepted.several
        await in_db(claim, first.pk, "w")
        await in_db(claim, second.pk, "w")
        await choosing.choose(alice.pk, second.message_id)
        rows = [await in_db(row, run.pk) for run in (first, second, third)]
        assert [one.status for one in rows] == ["running", "running", "stopped"]
        assert [one.stop_requested_at is not None for one in rows] == [True, False, False]
        events = await logged(accepted.conversation_id)
        assert [event["type"] for event in events].count("answer.chosen") == 1
        await choosing.choose(alice.pk, second.message_id)

    async def test_a_repeat_changes_nothing_and_is_announced_again(self, alice: User, layer: None) -> None:
        accepted = await in_db(finished, alice)
        for _ in range(2):
            await choosing.choose(alice.pk, accepted.several[0].message_id)
        chosen = [event for event in await logged(accepted.conversation_id) if event["type"] == "answer.chosen"]
        assert chosen[0] == chosen[1]
        assert (chosen[0]["message_id"], chosen[0]["model"]) == (str(accepted.several[0].message_id), "small")

    def test_the_first_choice_stands(self, alice: User) -> None:
        accepted = finished(alice)
        results = together(6, lambda number: accept_choice(alice.pk, accepted.several[number % 3].message_id))
        stands = Comparison.objects.get().chosen_id
        assert {one.choice.message_id for one in results if not isinstance(one, Exception)} == {stands}
        assert sum(isinstance(one, Conflict) for one in results) == 4

    def test_a_choice_and_a_message_at_once(self, alice: User) -> None:
        accepted = finished(alice)
        first, second, _ = (run.message_id for run in accepted.several)

        def work(number: int) -> Any:
            if number:
                return accept_choice(alice.pk, second)
            return say(alice, "Next", accepted.conversation_id, parent_id=first)

        together(2, work)
        chosen = Comparison.objects.get().chosen_id
        following = Message.objects.get(text="Next")
        assert chosen in (first, second)
        assert following.parent_id == first  # what the sender named is kept, as another branch if need be

    def test_a_message_without_a_parent_follows_a_choice_made_while_it_waited(self, alice: User) -> None:
        from django.db import transaction

        accepted = finished(alice)
        with transaction.atomic():
            Conversation.objects.select_for_update().get(pk=accepted.conversation_id)
            sending = Elsewhere(lambda: say(alice, "Next", accepted.conversation_id))
            assert sending.blocked()
            accept_choice(alice.pk, accepted.several[2].message_id)
        sending.join()
        assert isinstance(sending.outcome, Accepted), sending.outcome
        assert Message.objects.get(text="Next").parent_id == accepted.several[2].message_id

    @pytest.mark.parametrize("named", [True, False])
    def test_a_message_chooses_the_answer_it_follows(self, alice: User, named: bool) -> None:
        accepted = compare(alice)
        first, second, third = accepted.several
        finish(first.pk, "", RunStatus.FAILED)
        finish(second.pk, "two")
        finish(third.pk, "three")
        following = say(alice, "Next", accepted.conversation_id, parent_id=third.message_id if named else None)
        wanted = third if named else second  # without a name the first that is complete
        assert Comparison.objects.get().chosen_id == wanted.message_id
        assert Message.objects.get(text="Next").parent_id == wanted.message_id
        assert row(following.run_id).model == Conversation.objects.get().model == wanted.model
        events = [json.loads(body) for body, _ in following.announcements[0].events]
        assert events[0]["type"] == "answer.chosen"
        assert events[0]["message_id"] == str(wanted.message_id)
        # The worker announces the same when the process that accepted the message has died.
        again = [json.loads(body) for body, _ in announcements([following.run_id])[following.run_id]]
        assert [event["type"] for event in again] == [event["type"] for event in events]
        assert again[0] == events[0]

    def test_who_may(self, alice: User, bob: User, mallory: User) -> None:
        accepted = finished(alice)
        Member.objects.create(conversation_id=accepted.conversation_id, user=bob, role="viewer")
        answer = accepted.several[0].message_id
        with pytest.raises(Forbidden):
            accept_choice(bob.pk, answer)
        for user, one in ((mallory, answer), (alice, uuid.uuid4())):
            with pytest.raises(NotFound):
                accept_choice(user.pk, one)
        Member.objects.filter(user=bob).update(role="editor")
        accept_choice(bob.pk, answer)

    def test_only_answers_side_by_side(self, alice: User) -> None:
        single = say(alice)
        finish(single.run_id)
        accepted = finished(alice)
        for one in (row(single.run_id).message_id, accepted.message_id):
            with pytest.raises(Invalid):
                accept_choice(alice.pk, one)

    def test_afterwards_a_question_has_one_answer_in_progress_again(self, alice: User) -> None:
        accepted = finished(alice)
        accept_choice(alice.pk, accepted.several[0].message_id)
        again = retry(alice, accepted.several[1].message_id)
        assert row(again.run_id).slot == 0
        for other in accepted.several:
            with pytest.raises(Busy):
                retry(alice, other.message_id)

    def test_staff_can_retry_any_of_them(self, alice: User) -> None:
        from chat.admin.run_actions import why_no_retry

        accepted = compare(alice)
        for run in accepted.several:
            finish(run.pk, "", RunStatus.FAILED)
        fetched = Run.objects.select_related("conversation", "requested_by")
        assert [why_no_retry(run) for run in fetched.order_by("slot")] == ["", "", ""]
        accept_choice(alice.pk, accepted.several[0].message_id)
        assert [bool(why_no_retry(run)) for run in fetched.order_by("slot")] == [False, True, True]


class TestTitles:
    def test_the_first_answer_that_ends_names_the_conversation(self, alice: User) -> None:
        accepted = compare(alice)
        second, first, third = accepted.several
        finish(first.pk, "one")
        finish(second.pk, "two")
        named = [find_untitled(run.message_id, chars=100) for run in (first, second)]
        assert named[0] is not None
        assert named[0].answer == "one"
        assert named[1] is None
        assert find_untitled(third.message_id, chars=100) is None  # still in progress


class TestWhatReadersGet:
    async def test_a_page_gets_the_newest_answer_at_each_place(self, alice: User, layer: None) -> None:
        accepted = await in_db(finished, alice)
        await in_db(retry, alice, accepted.several[0].message_id)
        state = await read_state(accepted.conversation_id)
        assert state.side_by_side == 3
        assert [shown.get("slot") for shown in state.messages] == [None, 1, 2, 3]
        assert [shown["text"] for shown in state.messages] == ["Hello", "", "two", "three"]
        assert state.messages[0]["comparison"] == {"size": 3, "chosen": None}
        assert len(state.messages[1]["versions"]) == 4
        assert [run["status"] for run in state.runs] == ["queued"]

    async def test_a_page_gets_the_chosen_one_and_its_versions(self, alice: User, layer: None) -> None:
        accepted = await in_db(finished, alice)
        await in_db(accept_choice, alice.pk, accepted.several[1].message_id)
        state = await read_state(accepted.conversation_id)
        assert (state.side_by_side, [shown["text"] for shown in state.messages]) == (0, ["Hello", "two"])
        assert state.messages[1]["versions"] == [str(run.message_id) for run in accepted.several]
        snapshot = await read_snapshot(accepted.conversation_id)
        assert snapshot.messages[0]["comparison"]["chosen"] == str(accepted.several[1].message_id)
        assert [shown.get("slot") for shown in snapshot.messages] == [None, 1, 2, 3]

    async def test_an_end_that_was_lost_is_closed_for_each(self, alice: User, layer: None) -> None:
        accepted = await in_db(compare, alice)
        for run in accepted.several:
            await in_db(mark_stopped, run.pk)
        await in_db(lambda: Run.objects.update(finished_at="2026-01-01T00:00:00Z"))
        await close_endings()
        events = await logged(accepted.conversation_id)
        assert sum(event["type"] == "run.stopped" for event in events) == 3
        created = [event["message"] for event in events if event["type"] == "message.created"]
        assert {one["slot"] for one in created if "slot" in one} == {1, 2, 3}
