"""Waiting lines go on: what waits with which reason, and that nothing is sent twice or lost."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import Reservation, User
from chat.catalog import offered_models
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation, Member, Message, QueuedMessage, Run, RunStatus, Submission
from chat.protocol.commands import MessageEdit, MessageRegenerate
from chat.protocol.errors import Suspended
from chat.protocol.queue import QueueEdit, QueueRemove, QueueSendNow
from chat.recovery.waiting_lines import recover_waiting_lines
from chat.runs.claims import claim
from chat.turns import waiting_events, waiting_line
from chat.turns.accept import accept
from chat.turns.going_on import go_on
from chat.turns.line_state import overdue_lines
from chat.turns.waiting_line import Queued
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.quota_rows import give
from tests.fixtures.run_rows import row, say
from tests.fixtures.waiting_rows import (
    active,
    asked,
    end,
    end_all,
    line,
    logged,
    member,
    queue,
    queued,
    send,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "layer", "no_rules", "nothing_by_itself"),
]


class TestWaitingOn:
    @pytest.mark.parametrize(("status", "reason"), [(RunStatus.STOPPED, "stopped"), (RunStatus.FAILED, "failed")])
    async def test_after_a_stop_or_a_failure_it_waits_with_the_reason(
        self, alice: User, status: RunStatus, reason: str
    ) -> None:
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one", "two")
        await end(first.run_id, status)
        await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("one", reason), ("two", reason)]
        told = [one for one in await logged(first.conversation_id) if one["type"] == "message.queued"]
        assert [one["message"]["reason"] for one in told][-2:] == [reason, reason]
        # Another answer to the same question, which succeeds: the line goes on.
        answer = (await in_db(row, first.run_id)).message_id
        again = await in_db(accept, alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))
        await end(again.run_id)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "one", "two"]

    async def test_an_answer_that_nobody_watched(self, alice: User) -> None:
        """Nothing more is asked for somebody who is away; one command goes on with the whole line."""
        first = await in_db(say, alice)
        [one, _] = await queue(alice, first.conversation_id, "one", "two")
        await end(first.run_id, RunStatus.STOPPED, "unwatched")
        await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("one", "unwatched"), ("two", "unwatched")]
        told = [event for event in await logged(first.conversation_id) if event["type"] == "message.queued"]
        assert "nobody had this conversation open" in told[-1]["message"]["message"]
        assert await in_db(overdue_lines, 0) == [], "the recovery does not go on either"
        await in_db(waiting_line.send_now, alice.pk, QueueSendNow(message_id=one))
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "one", "two"]

    async def test_an_edited_question_takes_the_place_of_a_failed_one(self, alice: User) -> None:
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one")
        await end(first.run_id, RunStatus.FAILED)
        await go_on(first.conversation_id)
        edit = MessageEdit(message_id=first.message_id, client_id=uuid.uuid4(), text="Hello again")
        again = await in_db(accept, alice.pk, edit)
        await end(again.run_id)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello again", "one"]

    async def test_send_now_after_a_stop(self, alice: User) -> None:
        first = await in_db(say, alice)
        _, two = await queue(alice, first.conversation_id, "one", "two")
        await end(first.run_id, RunStatus.STOPPED)
        await go_on(first.conversation_id)
        await in_db(waiting_line.send_now, alice.pk, QueueSendNow(message_id=two))
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "two", "one"]

    async def test_send_now_during_an_answer_stops_it(self, alice: User) -> None:
        first = await in_db(say, alice)
        await in_db(claim, first.run_id, "w")
        [one] = await queue(alice, first.conversation_id, "one")
        await in_db(waiting_line.send_now, alice.pk, QueueSendNow(message_id=one))
        await go_on(first.conversation_id)
        assert (await in_db(row, first.run_id)).stop_requested_at is not None
        assert await in_db(line, first.conversation_id) == [("one", "")]
        await end(first.run_id, RunStatus.STOPPED)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "one"]

    async def test_steering_stops_and_is_the_first(self, alice: User) -> None:
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one")
        steers = await send(alice, queued(first.conversation_id, "rather", when_busy="steer"))
        assert isinstance(steers, Queued)
        await go_on(first.conversation_id)  # the run had not begun: it ends at once
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "rather", "one"]
        assert (await in_db(row, first.run_id)).status == RunStatus.STOPPED

    async def test_the_latest_of_two_that_steer(self, alice: User) -> None:
        """The second does not lose its answer to the first."""
        first = await in_db(say, alice)
        for text in ("rather", "no, rather"):
            await send(alice, queued(first.conversation_id, text, when_busy="steer"))
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "no, rather", "rather"]
        assert await in_db(lambda: Run.objects.filter(status="stopped").count()) == 1

    async def test_a_used_up_quota_holds_up_its_author_only(self, alice: User, bob: User) -> None:
        first = await in_db(say, alice)
        await in_db(member, first.conversation_id, bob)
        a1, _ = await queue(alice, first.conversation_id, "a1", "a2")
        await queue(bob, first.conversation_id, "b1")
        quota = await in_db(give, alice, limit=1)
        assert await in_db(Reservation.objects.count) == 0, "reserved when it goes"
        await end(first.run_id)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "b1"]
        assert await in_db(line, first.conversation_id) == [("a1", "quota_exceeded"), ("a2", "behind")]
        await in_db(quota.delete)
        await in_db(waiting_line.send_now, alice.pk, QueueSendNow(message_id=a1))
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "b1", "a1", "a2"]

    async def test_too_many_answers_pass_by_themselves(self, alice: User, settings: Any) -> None:
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one")
        other = await in_db(say, alice)
        settings.RATE_RUNS_PER_USER = 1
        await end(first.run_id)
        await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("one", "rate_limited")]
        await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("one", "rate_limited")]
        await end(other.run_id)
        past = timezone.now() - timedelta(seconds=9)
        await in_db(lambda: QueuedMessage.objects.update(retry_at=past, changed_at=past))
        await recover_waiting_lines()
        assert await in_db(asked, first.conversation_id) == ["Hello", "one"]

    @pytest.mark.parametrize(("what", "reason"), [("viewer", "forbidden"), ("removed", "not_found")])
    async def test_whose_author_may_not_write_any_more(self, alice: User, bob: User, what: str, reason: str) -> None:
        first = await in_db(say, alice)
        seat = await in_db(member, first.conversation_id, bob)
        [one] = await queue(bob, first.conversation_id, "b1")
        await queue(alice, first.conversation_id, "a1")
        await in_db(seat.delete) if what == "removed" else await in_db(
            lambda: Member.objects.filter(pk=seat.pk).update(role="viewer")
        )
        await end(first.run_id)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "a1"]
        assert await in_db(line, first.conversation_id) == [("b1", reason)]
        await in_db(waiting_line.remove, alice.pk, QueueRemove(message_id=one))
        assert await in_db(line, first.conversation_id) == []

    async def test_whose_author_is_suspended(self, alice: User) -> None:
        first = await in_db(say, alice)
        [one] = await queue(alice, first.conversation_id, "one")
        until = timezone.now() + timedelta(days=1)
        await in_db(lambda: User.objects.filter(pk=alice.pk).update(suspended_until=until))
        await end(first.run_id)
        await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("one", "suspended")]
        with pytest.raises(Suspended):
            await in_db(waiting_line.edit, alice.pk, QueueEdit(message_id=one, text="x"))

    async def test_a_rule_made_meanwhile(self, alice: User) -> None:
        """Nobody reads on what it refuses; another text is tried."""
        first = await in_db(say, alice)
        [one] = await queue(alice, first.conversation_id, "a secret thing")
        await in_db(add_rule, "block", "secret")
        await end(first.run_id)
        await go_on(first.conversation_id)
        [shown] = (await read_snapshot(first.conversation_id)).queued
        assert (shown["reason"], "secret" in shown["text"]) == ("moderated", False)
        await in_db(waiting_line.edit, alice.pk, QueueEdit(message_id=one, text="a fine thing"))
        await go_on(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "a fine thing"]

    async def test_in_a_conversation_that_was_deleted(self, alice: User) -> None:
        first = await in_db(say, alice)
        [one] = await queue(alice, first.conversation_id, "one")
        await end(first.run_id)
        where = Conversation.objects.filter(pk=first.conversation_id)
        await in_db(lambda: where.update(deleted_at=timezone.now()))
        await in_db(lambda: QueuedMessage.objects.update(changed_at=timezone.now() - timedelta(seconds=9)))
        await recover_waiting_lines()
        await in_db(lambda: where.update(deleted_at=None))
        await recover_waiting_lines()
        assert await in_db(line, first.conversation_id) == [("one", "deleted")], "nobody is surprised by it"
        await in_db(waiting_line.send_now, alice.pk, QueueSendNow(message_id=one))
        await go_on(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "one"]


class TestOnceOnly:
    async def test_many_processes_go_on_at_once(self, alice: User) -> None:
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one", "two")
        await end(first.run_id)
        await asyncio.gather(*(go_on(first.conversation_id) for _ in range(6)))
        assert len(await active(first.conversation_id)) == 1
        assert await in_db(lambda: Submission.objects.count()) == 2
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "one", "two"]

    async def test_recovery_sends_what_a_lost_process_has_not(self, alice: User, monkeypatch: Any) -> None:
        """It ended after the commit of the end, and another one after it had queued a message."""
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one")

        async def die(*_: Any) -> dict[Any, Any]:
            raise ConnectionError

        with monkeypatch.context() as patched:
            patched.setattr(waiting_events, "publish", die)
            with pytest.raises(ConnectionError):
                await send(alice, queued(first.conversation_id, "two"))
        await in_db(lambda: QueuedMessage.objects.update(changed_at=timezone.now() - timedelta(seconds=9)))
        await recover_waiting_lines()
        told = [each for each in await logged(first.conversation_id) if each["type"] == "message.queued"]
        assert [each["message"]["text"] for each in told] == ["one", "two"]
        assert await in_db(line, first.conversation_id) == [("one", ""), ("two", "")]
        await end(first.run_id)
        await in_db(lambda: QueuedMessage.objects.update(changed_at=timezone.now() - timedelta(seconds=9)))
        await recover_waiting_lines()
        assert await in_db(asked, first.conversation_id) == ["Hello", "one"]

    async def test_a_refused_sending_leaves_the_row(self, alice: User, monkeypatch: Any) -> None:
        """An error that nobody expects: it is tried again, and does not stop the line of others."""
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one")
        await end(first.run_id)

        def crash(*_: Any) -> None:
            raise RuntimeError

        with monkeypatch.context() as patched:
            patched.setattr(waiting_line, "command_of", crash)
            await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("one", "internal")]


class TestSideBySide:
    @pytest.fixture(autouse=True)
    def two_models(self, one_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
        both = [{"id": name, "label": name} for name in ("small", "large")]
        monkeypatch.setattr(offered_models, "published_models", lambda: both)

    @pytest.mark.parametrize("named", [False, True])
    async def test_it_follows_the_first_answer_or_the_one_it_names(self, alice: User, named: bool) -> None:
        first = await in_db(say, alice, models=["small", "large"])
        second = first.several[1].message_id
        waits = await send(alice, queued(first.conversation_id, parent_id=second if named else None))
        for run in first.several:
            await go_on(first.conversation_id)
            assert await in_db(line, first.conversation_id) == [("Next", "")]
            await end(run.pk)
        await go_on(first.conversation_id)
        sent = await in_db(lambda: Message.objects.get(pk=waits.message_id))
        assert sent.parent_id == (second if named else first.several[0].message_id)

    async def test_several_models_are_asked_when_it_goes(self, alice: User) -> None:
        first = await in_db(say, alice)
        await send(alice, queued(first.conversation_id, models=["small", "large"]))
        await end(first.run_id)
        await go_on(first.conversation_id)
        assert len(await active(first.conversation_id)) == 2
