"""Turns: one command is one message, one branch has one answer under way, stop wins."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from django.db import connection

from accounts.lib.db import in_db
from accounts.models import User
from chat.eventlog import store
from chat.models import Member, Message, Run, RunStatus, Submission
from chat.protocol.commands import MessageEdit, MessageRegenerate
from chat.protocol.errors import Busy, ChatError, Conflict, Forbidden, Invalid, NotFound
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.turns import stop
from chat.turns.accept import accept
from chat.turns.stop import request_stop
from chat.turns.submit import announce
from tests.fixtures.run_rows import message, row, say

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What threads get that start at the same moment, in the order of `works`: results, or the errors raised."""
    start = threading.Barrier(len(works))
    found: list[Any] = [None] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        start.wait()
        try:
            found[place] = work()
        except ChatError as error:
            found[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.usefixtures("clean_redis")
class TestRows:
    def test_twenty_at_once_are_one_message(self, alice: User) -> None:
        command = message()
        accepted = at_once(*[lambda: accept(alice.pk, command)] * 20)
        assert len({(one.message_id, one.run_id) for one in accepted}) == 1
        assert [one.duplicate for one in accepted].count(False) == 1
        assert (Message.objects.count(), Run.objects.count(), Submission.objects.count()) == (2, 1, 1)

    def test_the_same_id_for_something_else_is_a_conflict(self, alice: User) -> None:
        command = message()
        accept(alice.pk, command)
        with pytest.raises(Conflict):
            accept(alice.pk, message("Other", client_id=command.client_id))

    def test_a_trace_goes_with_the_run_and_another_one_makes_no_conflict(self, alice: User) -> None:
        first, other = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")
        command = message(traceparent=first)
        accepted = accept(alice.pk, command)
        assert accept(alice.pk, msgspec.structs.replace(command, traceparent=other)).duplicate
        held = claim(accepted.run_id, "w")
        assert held is not None
        assert held.run.log_context() == {
            "run": str(accepted.run_id),
            "conversation": str(accepted.conversation_id),
            "user": str(alice.pk),
            "trace": "a" * 32,
        }

    def test_ids_are_each_persons_own(self, alice: User, bob: User) -> None:
        command = message()
        assert accept(alice.pk, command).message_id != accept(bob.pk, command).message_id

    def test_ten_messages_at_once_in_one_conversation_are_one_and_nine_busy(self, alice: User) -> None:
        first = say(alice)
        assert claim(first.run_id, "w")
        end_run(first.run_id, 1, RunStatus.DONE, Ending("answer"))
        found = at_once(*[lambda: accept(alice.pk, message(conversation_id=first.conversation_id))] * 10)
        assert sum(isinstance(one, Busy) for one in found) == 9
        assert Run.objects.filter(status="queued").count() == 1

    def test_a_repeated_command_of_one_who_left_finds_nothing(self, alice: User) -> None:
        command = message()
        accepted = accept(alice.pk, command)
        Member.objects.filter(conversation_id=accepted.conversation_id).delete()
        with pytest.raises(NotFound):
            accept(alice.pk, command)

    @pytest.mark.parametrize("member", ["viewer", "outsider"])
    def test_who_may_not_write(self, alice: User, bob: User, member: str) -> None:
        accepted = say(alice)
        claim(accepted.run_id, "w")
        end_run(accepted.run_id, 1, RunStatus.DONE, Ending("answer"))
        answer = row(accepted.run_id).message_id
        if member == "viewer":
            Member.objects.create(conversation_id=accepted.conversation_id, user=bob, role="viewer")
        commands = (
            message(conversation_id=accepted.conversation_id),
            MessageEdit(message_id=accepted.message_id, client_id=uuid.uuid4(), text="x"),
            MessageRegenerate(message_id=answer, client_id=uuid.uuid4()),
        )
        for command in commands:
            with pytest.raises(Forbidden if member == "viewer" else NotFound):
                accept(bob.pk, command)
        with pytest.raises(Forbidden if member == "viewer" else NotFound):
            request_stop(bob.pk, accepted.run_id)
        assert Run.objects.count() == 1

    def test_nothing_is_left_of_what_was_refused(self, alice: User) -> None:
        with pytest.raises(Invalid):
            accept(alice.pk, message(text=" "))
        with pytest.raises(Invalid):
            accept(alice.pk, message(model="no such model"))
        assert not Submission.objects.exists()
        assert not Message.objects.exists()

    def test_stop_before_pick_up_ends_the_run_and_twice_is_once(self, alice: User) -> None:
        accepted = say(alice)
        first = request_stop(alice.pk, accepted.run_id)
        assert first.ended is not None
        again = request_stop(alice.pk, accepted.run_id)
        assert (again.ended, again.running) == (None, False)
        assert claim(accepted.run_id, "w") is None
        assert row(accepted.run_id).status == "stopped"

    def test_stop_and_claim_at_the_same_moment_leave_one_winner(self, alice: User) -> None:
        for _ in range(10):
            accepted = say(alice)
            claimed, _ = at_once(partial(claim, accepted.run_id, "w"), partial(request_stop, alice.pk, accepted.run_id))
            run = row(accepted.run_id)
            if claimed is None:
                assert run.status == "stopped"
            else:
                assert run.status == "running"
                assert run.stop_requested_at is not None
                end_run(accepted.run_id, 1, RunStatus.STOPPED)


async def test_a_stop_of_an_unannounced_run_is_told_whole(alice: User, layer: None) -> None:
    accepted = await in_db(say, alice)
    await stop.stop(alice.pk, accepted.run_id)
    here, _ = await store.position(accepted.conversation_id)
    entries = await store.entries(accepted.conversation_id, after=0, until=here.seq)
    assert [b"message.created" in entry.body for entry in entries] == [True, True, False, False]
    assert b"run.stopped" in entries[-1].body


async def test_announcing_twice_says_it_once(alice: User, layer: None) -> None:
    accepted = await in_db(say, alice)
    [first] = await announce(accepted)
    [again] = await announce(accepted)
    assert (first.skipped, again.skipped) == (False, True)
