"""What goes wrong while an answer is continued, and what is kept."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import events, store
from chat.models import Message, Run, RunStatus
from chat.recovery.reaper import close_endings, reap
from chat.runs.claims import Checkpoint, checkpoint, requeue
from chat.runs.closing import close_in_log
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from chat.turns.stop import mark_stopped, request_stop
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.run_rows import row, shift
from tests.integration.chat.turns.continuing import CUT, claimed, ended, go_on

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]


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
