"""Several models side by side, row by row: what a comparison makes, who may choose, and every race around it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.lib.db import in_db
from accounts.models import Price, Quota, Reservation, Unit, UsageEntry, User
from chat.eventlog import store
from chat.models import Comparison, Conversation, KnownModel, Message, Run, RunStatus
from chat.protocol.commands import MessageContinue, MessageEdit, MessageRegenerate
from chat.protocol.errors import Busy, ChatError, Conflict, Forbidden, Invalid, QuotaExceeded, RateLimited
from chat.runs.closing import announcements
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.choosing import accept_choice
from chat.turns.continuing import accept_continue
from chat.turns.stop import mark_stopped
from chat.turns.submit import submit
from tests.fixtures.logged_events import logged
from tests.fixtures.quota_rows import give, standing, together
from tests.fixtures.run_rows import message, row, say
from tests.integration.chat.turns.comparing import THREE, compare, finish, finished, retry


@pytest.fixture(autouse=True)
def _offered(one_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from chat.catalog import offered_models

    offered = [{"id": name, "label": name} for name in (*THREE, "tiny", "huge")]
    monkeypatch.setattr(offered_models, "published_models", lambda: offered)


pytestmark = [pytest.mark.django_db(transaction=True)]


def nothing_written() -> bool:
    return not (Conversation.objects.exists() or Run.objects.exists() or Reservation.objects.exists())


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
