"""`message.continue` row by row: who may, what it makes, and that its text is there exactly once."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from accounts.models import Reservation, User
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import events, store
from chat.models import Conversation, Member, Message, Run, RunStatus
from chat.protocol.commands import MessageContinue, MessageRegenerate
from chat.protocol.errors import Busy, ChatError, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, RateLimited
from chat.recovery.reaper import close_endings, reap
from chat.runs.closing import close_in_log, mark_ended_in_log
from chat.runs.ending import Ending, end_run
from chat.runs.lifecycle import Checkpoint, Claim, checkpoint, claim, requeue
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from chat.turns.stop import mark_stopped, request_stop
from chat.turns.submit import announce, submit
from tests.fixtures.quota_rows import give
from tests.fixtures.run_rows import row, say, shift

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]

CUT = "The quick brown"


def go_on(message_id: uuid.UUID, client_id: uuid.UUID | None = None) -> MessageContinue:
    return MessageContinue(message_id=message_id, client_id=client_id or uuid.uuid4())


def ended(user: User, status: RunStatus = RunStatus.DONE, finish: str = "length", text: str = CUT) -> Run:
    """An answer of a model, with its end in the log."""
    turn = say(user)
    claim(turn.run_id, "w")
    ending = Ending(text, finish=finish, input_tokens=10, output_tokens=3, endpoint="host", total_ms=500)
    assert end_run(turn.run_id, 1, status, ending, owner="w") is not None
    mark_ended_in_log([turn.run_id])
    return row(turn.run_id)


def claimed(run_id: uuid.UUID, owner: str = "w") -> Claim:
    found = claim(run_id, owner)
    assert found is not None
    return found


async def logged(conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    here, _ = await store.position(conversation_id)
    return [json.loads(entry.body) for entry in await store.entries(conversation_id, after=0, until=here.seq)]


class TestWhatItMakes:
    def test_a_second_run_of_the_same_message(self, alice: User) -> None:
        before = ended(alice)
        accepted = accept_continue(alice.pk, go_on(before.message_id))
        run = row(accepted.run_id)
        assert (accepted.message_id, accepted.conversation_id) == (before.message_id, before.conversation_id)
        assert (run.part, run.base_chars, run.latest, run.status) == (2, len(CUT), True, "queued")
        assert (run.prompt_id, run.model) == (before.prompt_id, before.model)
        assert not row(before.pk).latest
        assert (run.message.status, run.message.text, run.message.html) == ("pending", CUT, "")
        assert Message.objects.filter(conversation=before.conversation_id).count() == 2
        assert Conversation.objects.get(pk=before.conversation_id).tip_id == before.message_id

    def test_the_worker_gets_the_text_before(self, alice: User) -> None:
        before = ended(alice)
        found = claimed(accept_continue(alice.pk, go_on(before.message_id)).run_id)
        assert (found.text_before, found.run.base_chars) == (CUT, len(CUT))
        assert found.path == [("user", "Hello")]

    @pytest.mark.parametrize(
        ("status", "finish"),
        [
            (RunStatus.DONE, "length"),
            (RunStatus.STOPPED, ""),
            (RunStatus.INTERRUPTED, ""),
            (RunStatus.FAILED, ""),
        ],
    )
    def test_after_every_cut_end(self, alice: User, status: RunStatus, finish: str) -> None:
        before = ended(alice, status, finish)
        assert accept_continue(alice.pk, go_on(before.message_id)).message_id == before.message_id

    def test_the_usage_of_all_runs_is_added_up(self, alice: User) -> None:
        before = ended(alice)
        second = accept_continue(alice.pk, go_on(before.message_id))
        claimed(second.run_id)
        ending = Ending(f"{CUT} fox", finish="length", input_tokens=20, output_tokens=1, total_ms=250)
        first_end = end_run(second.run_id, 1, RunStatus.DONE, ending, owner="w")
        assert first_end is not None
        assert first_end.used is not None
        assert (first_end.used.input_tokens, first_end.used.output_tokens) == (20, 1), "a run is billed by itself"
        event = json.loads(first_end.event[0])
        assert (event["usage"]["output_tokens"], event["text_length"], event["continuable"]) == (1, len(CUT) + 4, True)
        assert event["message_usage"] == {
            "runs": 2, "input_tokens": 30, "output_tokens": 4, "cost": None, "estimated": False, "total_ms": 750,
        }  # fmt: skip

    async def test_a_snapshot_shows_the_sum_and_the_latest_run(self, alice: User, layer: None) -> None:
        before = await in_db(ended, alice)
        second = await in_db(accept_continue, alice.pk, go_on(before.message_id))
        await in_db(claimed, second.run_id)
        ending = Ending(f"{CUT} fox", finish="stop", input_tokens=20, output_tokens=1, total_ms=250)
        await in_db(lambda: end_run(second.run_id, 1, RunStatus.DONE, ending, owner="w"))
        shown = (await read_snapshot(before.conversation_id)).messages[-1]
        assert (shown["text"], shown["run"]["run_id"]) == (f"{CUT} fox", str(second.run_id))
        assert (shown["run"]["part"], shown["run"]["continuable"]) == (2, False)
        assert (shown["usage"]["output_tokens"], shown["usage"]["total_ms"]) == (4, 750)


class TestWhoMay:
    @pytest.mark.parametrize(
        ("status", "finish", "text", "words"),
        [
            (RunStatus.DONE, "stop", CUT, "complete"),
            (RunStatus.DONE, "filtered", CUT, "content filter"),
            (RunStatus.DONE, "tool_limit", CUT, "complete"),
            (RunStatus.FAILED, "", "", "no text"),
            (RunStatus.STOPPED, "", " \n", "no text"),
        ],
    )
    def test_not_every_answer(self, alice: User, status: RunStatus, finish: str, text: str, words: str) -> None:
        before = ended(alice, status, finish, text)
        with pytest.raises(Invalid, match=words):
            accept_continue(alice.pk, go_on(before.message_id))
        assert row(before.pk).latest
        assert Run.objects.count() == 1

    def test_not_one_of_the_greatest_length(self, alice: User, settings: Any) -> None:
        settings.ANSWER_MAX_CHARS = len(CUT)
        before = ended(alice)
        with pytest.raises(Invalid, match="maximum length"):
            accept_continue(alice.pk, go_on(before.message_id))

    def test_not_a_question_nor_an_unknown_message(self, alice: User) -> None:
        before = ended(alice)
        with pytest.raises(Invalid, match="Only answers"):
            accept_continue(alice.pk, go_on(before.prompt_id))
        with pytest.raises(NotFound):
            accept_continue(alice.pk, go_on(uuid.uuid4()))

    def test_not_one_that_something_follows(self, alice: User) -> None:
        before = ended(alice)
        turn = say(alice, "Go on", before.conversation_id)
        mark_stopped(turn.run_id)
        with pytest.raises(Invalid, match="gone on since"):
            accept_continue(alice.pk, go_on(before.message_id))

    def test_not_while_it_or_another_branch_is_answered(self, alice: User) -> None:
        before = ended(alice)
        accept(alice.pk, MessageRegenerate(message_id=before.message_id, client_id=uuid.uuid4()))
        with pytest.raises(Busy):
            accept_continue(alice.pk, go_on(before.message_id))
        other = ended(alice)
        accept_continue(alice.pk, go_on(other.message_id))
        with pytest.raises(Busy):
            accept_continue(alice.pk, go_on(other.message_id))

    def test_not_a_stranger_nor_a_viewer(self, alice: User, bob: User) -> None:
        before = ended(alice)
        with pytest.raises(NotFound):
            accept_continue(bob.pk, go_on(before.message_id))
        member = Member.objects.create(conversation_id=before.conversation_id, user=bob, role="viewer")
        with pytest.raises(Forbidden):
            accept_continue(bob.pk, go_on(before.message_id))
        member.role = "editor"
        member.save()
        assert row(accept_continue(bob.pk, go_on(before.message_id)).run_id).requested_by_id == bob.pk

    def test_not_beyond_a_quota_which_is_reserved_per_run(self, alice: User) -> None:
        before = ended(alice)
        give(alice, 2)
        second = accept_continue(alice.pk, go_on(before.message_id))
        assert Reservation.objects.filter(run_id=second.run_id).exists()
        claimed(second.run_id)
        ending = Ending(f"{CUT} fox", finish="length", output_tokens=1, endpoint="host")
        end_run(second.run_id, 1, RunStatus.DONE, ending, owner="w")
        assert not Reservation.objects.exists()
        with pytest.raises(QuotaExceeded):
            accept_continue(alice.pk, go_on(before.message_id))
        assert row(second.run_id).latest
        assert Run.objects.count() == 2

    def test_not_with_too_many_answers_in_progress(self, alice: User, settings: Any) -> None:
        before = ended(alice)
        settings.RATE_RUNS_PER_USER = 1
        say(alice)
        with pytest.raises(RateLimited):
            accept_continue(alice.pk, go_on(before.message_id))

    def test_not_where_the_caller_refuses_the_conversation(self, alice: User) -> None:
        before = ended(alice)

        def refuse(conversation_id: uuid.UUID) -> None:
            assert conversation_id == before.conversation_id
            raise RateLimited

        with pytest.raises(ChatError):
            accept_continue(alice.pk, go_on(before.message_id), refuse)
        assert Run.objects.count() == 1


class TestAgain:
    def test_the_same_command_gives_the_same_run(self, alice: User) -> None:
        before, client_id = ended(alice), uuid.uuid4()
        first = accept_continue(alice.pk, go_on(before.message_id, client_id))
        again = accept_continue(alice.pk, go_on(before.message_id, client_id))
        assert (again.run_id, again.message_id, again.duplicate) == (first.run_id, first.message_id, True)
        claimed(first.run_id)
        end_run(first.run_id, 1, RunStatus.DONE, Ending(f"{CUT} fox", finish="stop"), owner="w")
        assert accept_continue(alice.pk, go_on(before.message_id, client_id)).run_id == first.run_id

    def test_the_same_id_for_another_message_is_a_conflict(self, alice: User) -> None:
        before, other, client_id = ended(alice), ended(alice), uuid.uuid4()
        accept_continue(alice.pk, go_on(before.message_id, client_id))
        with pytest.raises(Conflict):
            accept_continue(alice.pk, go_on(other.message_id, client_id))

    async def test_a_repeat_is_followed_from_just_before_the_run(self, alice: User, layer: None) -> None:
        before, client_id = await in_db(ended, alice), uuid.uuid4()
        first = await submit(alice.pk, go_on(before.message_id, client_id))
        again = await submit(alice.pk, go_on(before.message_id, client_id))
        assert again.position == first.position
        kinds = [event["type"] for event in await logged(before.conversation_id)]
        assert kinds == ["message.updated", "run.queued"]

    def test_a_second_continuation_begins_after_the_first(self, alice: User) -> None:
        before = ended(alice)
        second = accept_continue(alice.pk, go_on(before.message_id))
        claimed(second.run_id)
        end_run(second.run_id, 1, RunStatus.STOPPED, Ending(f"{CUT} fox"), owner="w")
        third = row(accept_continue(alice.pk, go_on(before.message_id)).run_id)
        assert (third.part, third.base_chars) == (3, len(CUT) + 4)
        assert [run.latest for run in Run.objects.order_by("part")] == [False, False, True]


class TestWhatGoesWrong:
    """The text before is never lost, and what a lost worker wrote is there once."""

    @pytest.fixture
    async def second(self, alice: User, layer: None) -> Accepted:
        before = await in_db(ended, alice)
        accepted = await in_db(accept_continue, alice.pk, go_on(before.message_id))
        await announce(accepted)
        return accepted

    async def write(self, turn: Accepted, index: int, text: str, number: int, attempt: int = 1) -> None:
        delta = events.run_delta(str(turn.conversation_id), str(turn.run_id), attempt, index, text)
        await store.append(store.Append(turn.conversation_id, [delta], turn.run_id, attempt, number))

    async def lose(self, turn: Accepted, text: str = "") -> None:
        await in_db(claimed, turn.run_id)
        if text:
            here, _ = await store.position(turn.conversation_id)
            await in_db(checkpoint, [Checkpoint(turn.run_id, 1, here.epoch, here.seq, text)], "w")
        await in_db(lambda: shift(turn.run_id, lease_expires_at=-1))

    async def test_a_worker_lost_before_its_first_word_leaves_the_run_to_another(self, second: Accepted) -> None:
        await self.lose(second, CUT)  # its checkpoint has only what was there before
        await reap()
        run = await in_db(row, second.run_id)
        assert (run.status, run.message.status, run.message.text) == ("queued", "pending", CUT)
        [last, queued] = (await logged(second.conversation_id))[-2:]
        assert (last["type"], last["text_length"], last["next_attempt"]) == ("run.interrupted", len(CUT), 2)
        assert (queued["type"], queued["attempt"]) == ("run.queued", 2)
        found = await in_db(claimed, second.run_id)
        assert (found.text_before, found.run.attempt) == (CUT, 2)

    async def test_a_lost_worker_s_words_are_kept_once(self, second: Accepted) -> None:
        """Some are in its checkpoint, which has them twice with the log; some are in the log only."""
        await self.lose(second, f"{CUT} fox")
        await self.write(second, len(CUT), " fox", 2)
        await self.write(second, len(CUT) + 4, " jumps", 3)
        await reap()
        run = await in_db(row, second.run_id)
        assert (run.status, run.message.text) == ("interrupted", f"{CUT} fox jumps")
        assert run.output_tokens == 3, "the words of this run alone are estimated"
        shown = (await read_snapshot(second.conversation_id)).messages[-1]
        assert (shown["text"], shown["run"]["continuable"]) == (f"{CUT} fox jumps", True)

    async def test_a_snapshot_in_the_middle_has_the_text_once(self, second: Accepted) -> None:
        await in_db(claimed, second.run_id)
        await self.write(second, len(CUT), " fox", 2)
        shown = (await read_snapshot(second.conversation_id)).messages[-1]
        assert (shown["text"], shown["run"]["text_length"]) == (f"{CUT} fox", len(CUT) + 4)

    async def test_a_run_given_back_begins_with_the_text_before(self, second: Accepted) -> None:
        await in_db(claimed, second.run_id)
        await in_db(lambda: Message.objects.filter(pk=second.message_id).update(text=f"{CUT} fox"))
        assert await in_db(lambda: requeue(second.run_id, 1, owner="w")) is not None
        assert (await in_db(row, second.run_id)).message.text == CUT

    async def test_one_stopped_in_the_queue_keeps_its_text(self, second: Accepted, alice: User) -> None:
        result = await in_db(request_stop, alice.pk, second.run_id)
        assert result.ended is not None
        await close_in_log(result.ended)
        run = await in_db(row, second.run_id)
        assert (run.message.status, run.message.text) == ("stopped", CUT)
        last = (await logged(second.conversation_id))[-1]
        assert (last["type"], last["text_length"], last["continuable"]) == ("run.stopped", len(CUT), True)

    async def test_a_failure_before_a_word_costs_nothing_and_keeps_the_text(self, second: Accepted) -> None:
        await in_db(claimed, second.run_id)
        ending = Ending(CUT, error_code="upstream_error", input_tokens=0, output_tokens=0)
        done = await in_db(lambda: end_run(second.run_id, 1, RunStatus.FAILED, ending, owner="w"))
        assert done is not None
        assert done.used is None
        assert done.silent
        assert (await in_db(row, second.run_id)).message.text == CUT

    async def test_a_log_that_was_lost_begins_again_with_the_text_before(self, second: Accepted) -> None:
        await async_redis().delete(store.meta_key(second.conversation_id), store.stream_key(second.conversation_id))
        stopped = await in_db(mark_stopped, second.run_id)
        assert stopped.ended is not None
        await close_in_log(stopped.ended)
        found = await logged(second.conversation_id)
        assert [event["type"] for event in found] == ["message.updated", "run.queued", "run.stopped"]
        assert (found[0]["message"]["text"], found[0]["message"]["status"]) == (CUT, "pending")

    async def test_the_late_end_of_the_run_before_ends_where_this_one_began(self, second: Accepted) -> None:
        """Its closing event had not reached the log; by now the answer has more text."""
        await in_db(claimed, second.run_id)
        await in_db(lambda: Message.objects.filter(pk=second.message_id).update(text=f"{CUT} fox"))
        first = await in_db(lambda: Run.objects.get(part=1))
        await in_db(lambda: Run.objects.filter(part=1).update(ended_in_log=False))
        await in_db(lambda: shift(first.pk, finished_at=-60))
        await close_endings()
        late = next(event for event in await logged(second.conversation_id) if event.get("run_id") == str(first.pk))
        assert (late["type"], late["text_length"], late["continuable"]) == ("run.done", len(CUT), False)

    async def test_talking_over_the_run_before_does_not_cut_this_one(self, second: Accepted, alice: User) -> None:
        first = await in_db(lambda: Run.objects.get(part=1))
        await in_db(request_stop, alice.pk, first.pk, 3)
        assert (await in_db(row, second.run_id)).message.text == CUT
