"""`message.continue` row by row: who may, what it makes, and that its text is there exactly once."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import Reservation, User
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation, Member, Message, Run, RunStatus
from chat.protocol.commands import MessageRegenerate
from chat.protocol.errors import Busy, ChatError, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, RateLimited
from chat.runs.ending import Ending, end_run
from chat.turns.accept import accept
from chat.turns.continuing import accept_continue
from chat.turns.stop import mark_stopped
from chat.turns.submit import submit
from tests.fixtures.logged_events import logged
from tests.fixtures.quota_rows import give
from tests.fixtures.run_rows import row, say
from tests.integration.chat.turns.continuing import CUT, claimed, ended, go_on

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]


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
