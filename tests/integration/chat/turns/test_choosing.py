"""One answer of a comparison is chosen: who may, what goes on from it, and the races around it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Comparison, Conversation, Member, Message, Run, RunStatus
from chat.protocol.errors import Busy, Conflict, Forbidden, Invalid, NotFound
from chat.runs.claims import claim
from chat.runs.closing import announcements
from chat.runs.context import read_branch
from chat.turns import choosing
from chat.turns.accepted import Accepted
from chat.turns.choosing import accept_choice
from tests.fixtures.logged_events import logged
from tests.fixtures.quota_rows import Elsewhere, together
from tests.fixtures.run_rows import row, say
from tests.integration.chat.turns.comparing import THREE, compare, finish, finished, retry


@pytest.fixture(autouse=True)
def _offered(one_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from chat.catalog import offered_models

    offered = [{"id": name, "label": name} for name in (*THREE, "tiny", "huge")]
    monkeypatch.setattr(offered_models, "published_models", lambda: offered)


pytestmark = [pytest.mark.django_db(transaction=True)]


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
