"""Waiting lines as rows: what waits, what goes when an answer has ended, and that nothing is sent twice or lost."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import Reservation, User
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import store
from chat.models import Conversation, Member, Message, ModerationCase, QueuedMessage, Run, RunStatus, Submission
from chat.protocol.commands import MessageRegenerate, MessageSend, TurnOptions
from chat.protocol.errors import Busy, ChatError, Conflict, Forbidden, Invalid, Moderated, NotFound, Suspended
from chat.protocol.queue import QueueEdit, QueueMove, QueueRemove, QueueSendNow
from chat.recovery.waiting_lines import recover_waiting_lines
from chat.runs.closing import close_in_log
from chat.runs.ending import Ending, end_run
from chat.runs.lifecycle import claim
from chat.turns import going_on, waiting_events, waiting_line
from chat.turns.accept import Accepted, accept
from chat.turns.going_on import go_on, submit_or_queue
from chat.turns.waiting_line import Queued
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.quota_rows import give
from tests.fixtures.run_rows import message, row, say

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "layer", "no_rules", "nothing_by_itself"),
]


@pytest.fixture
def nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines go on when a test says so."""
    monkeypatch.setattr(going_on, "go_on_soon", lambda conversation_ids: None)


def queued(conversation_id: uuid.UUID, text: str = "Next", **fields: Any) -> MessageSend:
    return message(text, conversation_id=conversation_id, **{"when_busy": "queue", **fields})


async def send(user: User, command: MessageSend) -> Accepted | Queued:
    """What a command became."""
    found: list[Accepted | Queued] = []

    @asynccontextmanager
    async def join(accepted: Accepted | Queued) -> AsyncIterator[None]:
        found.append(accepted)
        yield

    await submit_or_queue(user.pk, command, join=join)
    return found[0]


async def queue(user: User, conversation_id: uuid.UUID, *texts: str) -> list[uuid.UUID]:
    made = [await send(user, queued(conversation_id, text)) for text in texts]
    assert all(isinstance(one, Queued) for one in made)
    return [one.message_id for one in made]


async def end(run_id: uuid.UUID, status: RunStatus = RunStatus.DONE) -> None:
    """An answer ends as a worker ends it."""

    def close() -> Any:
        run = row(run_id)
        if run.status == RunStatus.QUEUED:
            assert claim(run_id, "w")
        return end_run(run_id, 1, status, Ending("answer", input_tokens=1, output_tokens=1), owner="w")

    ended = await in_db(close)
    assert ended is not None
    await close_in_log(ended)


async def active(conversation_id: uuid.UUID) -> list[uuid.UUID]:
    rows = Run.objects.filter(conversation=conversation_id, status__in=("queued", "running"))
    return await in_db(lambda: list(rows.values_list("pk", flat=True)))


async def end_all(conversation_id: uuid.UUID) -> None:
    """Answers everything that waits, one after the other."""
    for _ in range(30):
        await go_on(conversation_id)
        if not (runs := await active(conversation_id)):
            return
        for run_id in runs:
            await end(run_id)


def asked(conversation_id: uuid.UUID) -> list[str]:
    """What was asked along the newest path."""
    at = Conversation.objects.get(pk=conversation_id).tip
    found = []
    while at is not None:
        if at.role == "user":
            found.append(at.text)
        at = at.parent
    return found[::-1]


def line(conversation_id: uuid.UUID) -> list[tuple[str, str]]:
    return [(one.text, one.reason) for one in waiting_line.waiting_rows(conversation_id)]


async def logged(conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    here, _ = await store.position(conversation_id)
    return [json.loads(entry.body) for entry in await store.entries(conversation_id, after=0, until=here.seq)]


def member(conversation_id: uuid.UUID, user: User, role: str = "editor") -> Member:
    return Member.objects.create(conversation_id=conversation_id, user=user, role=role)


class TestQueueing:
    async def test_it_waits_and_goes_when_the_answer_has_ended(self, alice: User) -> None:
        first = await in_db(say, alice)
        command = queued(first.conversation_id, options=TurnOptions(temperature=0.5))
        waits = await send(alice, command)
        assert isinstance(waits, Queued)
        [event] = [one for one in await logged(first.conversation_id) if one["type"] == "message.queued"]
        assert (event["message"]["id"], event["message"]["text"]) == (str(waits.message_id), "Next")
        assert await in_db(lambda: Message.objects.count()) == 2
        await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("Next", "")], "the answer is in progress"
        await end(first.run_id)
        await go_on(first.conversation_id)
        assert await in_db(QueuedMessage.objects.count) == 0
        sent = await in_db(lambda: Message.objects.get(pk=waits.message_id))
        assert (sent.text, sent.author_id, sent.parent_id) == (
            "Next",
            alice.pk,
            (await in_db(row, first.run_id)).message_id,
        )
        run = await in_db(lambda: Run.objects.get(prompt=sent))
        assert run.parameters["asked"] == {"temperature": 0.5}
        kinds = [one["type"] for one in await logged(first.conversation_id)]
        assert kinds[-4:] == ["message.created", "message.created", "run.queued", "message.unqueued"]
        again = await send(alice, command)
        assert isinstance(again, Accepted)
        assert (again.duplicate, again.message_id, again.run_id) == (True, waits.message_id, run.pk)

    async def test_where_nothing_is_in_progress_it_goes_at_once(self, alice: User) -> None:
        first = await in_db(say, alice)
        await end(first.run_id)
        assert isinstance(await send(alice, queued(first.conversation_id)), Accepted)

    async def test_refuse_is_the_default(self, alice: User) -> None:
        first = await in_db(say, alice)
        with pytest.raises(Busy):
            await send(alice, message(conversation_id=first.conversation_id))

    async def test_a_repeated_command_waits_once(self, alice: User) -> None:
        first = await in_db(say, alice)
        command = queued(first.conversation_id)
        made = await asyncio.gather(*(send(alice, command) for _ in range(6)))
        assert len({one.message_id for one in made}) == 1
        assert [one.duplicate for one in made].count(False) == 1
        with pytest.raises(Conflict):
            await send(alice, queued(first.conversation_id, "Other", client_id=command.client_id))

    async def test_a_repeated_command_does_not_overtake_itself(self, alice: User) -> None:
        """The answer has ended, the line has not gone on yet, and the client sends again."""
        first = await in_db(say, alice)
        command = queued(first.conversation_id)
        await send(alice, command)
        await end(first.run_id)
        again = await send(alice, command)
        assert isinstance(again, Queued)
        assert again.duplicate
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "Next"]

    async def test_a_message_does_not_overtake_an_earlier_one(self, alice: User) -> None:
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "one")
        await end(first.run_id)
        assert isinstance(await send(alice, queued(first.conversation_id, "two")), Queued)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "one", "two"]

    async def test_sent_by_its_old_command_it_is_still_one_message(self, alice: User) -> None:
        """A client repeats its command without `when_busy`."""
        first = await in_db(say, alice)
        command = queued(first.conversation_id)
        await send(alice, command)
        await end(first.run_id)
        accepted = await in_db(
            accept, alice.pk, message("Next", conversation_id=first.conversation_id, client_id=command.client_id)
        )  # noqa: E501
        await end(accepted.run_id)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "Next"]
        assert await in_db(QueuedMessage.objects.count) == 0

    async def test_limits(self, alice: User, bob: User, settings: Any) -> None:
        settings.QUEUE_MESSAGES_PER_USER = 2
        first = await in_db(say, alice)
        await in_db(member, first.conversation_id, bob)
        await queue(alice, first.conversation_id, "1", "2")
        with pytest.raises(Busy, match="2 messages are waiting"):
            await send(alice, queued(first.conversation_id, "3"))
        await queue(bob, first.conversation_id, "mine")
        with pytest.raises(ChatError, match="empty"):
            await send(bob, queued(first.conversation_id, " \n"))
        with pytest.raises(Invalid):
            await send(bob, queued(first.conversation_id, "x", model="no such model"))
        with pytest.raises(Invalid, match="system prompt"):
            await send(bob, queued(first.conversation_id, "x", options=TurnOptions(system_prompt="Be kind.")))

    @pytest.mark.parametrize(("role", "error"), [("viewer", Forbidden), ("", NotFound)])
    async def test_who_may_not_write(self, alice: User, bob: User, role: str, error: type[ChatError]) -> None:
        first = await in_db(say, alice)
        if role:
            await in_db(member, first.conversation_id, bob, role)
        with pytest.raises(error):
            await send(bob, queued(first.conversation_id))
        assert await in_db(QueuedMessage.objects.count) == 0

    async def test_it_is_in_a_snapshot_without_what_rules_mask(self, alice: User) -> None:
        await in_db(add_rule, "mask", "secret")
        first = await in_db(say, alice)
        await queue(alice, first.conversation_id, "a secret thing", "another")
        shown = (await read_snapshot(first.conversation_id)).queued
        assert [one["text"].count("secret") for one in shown] == [0, 0]
        assert [one["text"] for one in shown][1] == "another"
        assert "secret" not in json.dumps(await logged(first.conversation_id))
        await end_all(first.conversation_id)
        assert await in_db(ModerationCase.objects.count) == 1, "screened as it is sent"

    async def test_what_a_rule_blocks_does_not_wait(self, alice: User) -> None:
        await in_db(add_rule, "block", "secret")
        first = await in_db(say, alice)
        with pytest.raises(Moderated):
            await send(alice, queued(first.conversation_id, "a secret thing"))
        [one] = await queue(alice, first.conversation_id, "fine")
        with pytest.raises(Moderated):
            await in_db(waiting_line.edit, alice.pk, QueueEdit(message_id=one, text="a secret thing"))
        assert await in_db(line, first.conversation_id) == [("fine", "")]


class TestOrder:
    async def test_the_line_is_fair(self, alice: User, bob: User) -> None:
        first = await in_db(say, alice)
        await in_db(member, first.conversation_id, bob)
        await queue(alice, first.conversation_id, "a1", "a2", "a3")
        await queue(bob, first.conversation_id, "b1", "b2")
        assert [text for text, _ in await in_db(line, first.conversation_id)] == ["a1", "b1", "a2", "b2", "a3"]
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "a1", "b1", "a2", "b2", "a3"]
        runs = await in_db(lambda: dict(Run.objects.values_list("prompt__text", "requested_by")))
        assert (runs["a2"], runs["b2"]) == (alice.pk, bob.pk), "who queued pays"

    async def test_moving_changes_places_with_ones_own_only(self, alice: User, bob: User) -> None:
        first = await in_db(say, alice)
        await in_db(member, first.conversation_id, bob)
        a1, _, a3 = await queue(alice, first.conversation_id, "a1", "a2", "a3")
        [b1] = await queue(bob, first.conversation_id, "b1")
        await in_db(waiting_line.move, alice.pk, QueueMove(message_id=a3, before=a1))
        assert [text for text, _ in await in_db(line, first.conversation_id)] == ["a3", "b1", "a1", "a2"]
        await in_db(waiting_line.move, alice.pk, QueueMove(message_id=a3))
        assert [text for text, _ in await in_db(line, first.conversation_id)] == ["a1", "b1", "a2", "a3"]
        for wrong in (QueueMove(message_id=a1, before=b1), QueueMove(message_id=a1, before=a1)):
            with pytest.raises(Invalid):
                await in_db(waiting_line.move, alice.pk, wrong)

    async def test_many_between_two(self, alice: User, bob: User) -> None:
        """Positions are given anew where there is no room."""
        first = await in_db(say, alice)
        await in_db(member, first.conversation_id, bob)
        await queue(alice, first.conversation_id, "a1", "a2")
        await in_db(lambda: QueuedMessage.objects.filter(text="a2").update(position=1))
        await queue(bob, first.conversation_id, "b1")
        assert [text for text, _ in await in_db(line, first.conversation_id)] == ["a1", "b1", "a2"]

    async def test_branches_have_their_own_turn(self, alice: User) -> None:
        """An answer on another branch holds up nothing."""
        first = await in_db(say, alice)
        await end(first.run_id)
        answer = (await in_db(row, first.run_id)).message_id
        other = await in_db(accept, alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))
        await queue(alice, first.conversation_id, "waits")
        await go_on(first.conversation_id)
        assert await in_db(line, first.conversation_id) == [("waits", "")]
        await end(other.run_id)
        await go_on(first.conversation_id)
        sent = await in_db(lambda: Message.objects.get(text="waits"))
        assert sent.parent_id == (await in_db(row, other.run_id)).message_id


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
        assert [one["message"]["reason"] for one in told] == [None, None, reason, reason]
        # Another answer to the same question, which succeeds: the line goes on.
        answer = (await in_db(row, first.run_id)).message_id
        again = await in_db(accept, alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))
        await end(again.run_id)
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "one", "two"]

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
        )  # noqa: E501
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


class TestChanging:
    async def test_edit_and_remove(self, alice: User) -> None:
        first = await in_db(say, alice)
        command = queued(first.conversation_id, "one")
        await send(alice, command)
        [two] = await queue(alice, first.conversation_id, "two")
        [one] = [row.pk for row in await in_db(waiting_line.waiting_rows, first.conversation_id)][:1]
        await in_db(waiting_line.edit, alice.pk, QueueEdit(message_id=two, text="second"))
        await in_db(waiting_line.remove, alice.pk, QueueRemove(message_id=one))
        await waiting_events.publish(first.conversation_id)
        told = [(each["type"], each.get("reason")) for each in await logged(first.conversation_id)][-2:]
        assert told == [("message.queued", None), ("message.unqueued", "removed")]
        again = await send(alice, command)
        assert isinstance(again, Queued)
        assert (again.duplicate, again.removed) == (True, True), "what was removed stays removed"
        await end(first.run_id)
        again = await send(alice, command)
        assert isinstance(again, Queued)
        assert again.removed
        await end_all(first.conversation_id)
        assert await in_db(asked, first.conversation_id) == ["Hello", "second"]
        assert await in_db(lambda: QueuedMessage.objects.get().text) == ""

    async def test_what_was_sent_cannot_be_changed(self, alice: User) -> None:
        first = await in_db(say, alice)
        [one] = await queue(alice, first.conversation_id, "one")
        await end(first.run_id)
        await go_on(first.conversation_id)
        for change in (
            lambda: waiting_line.edit(alice.pk, QueueEdit(message_id=one, text="x")),
            lambda: waiting_line.remove(alice.pk, QueueRemove(message_id=one)),
            lambda: waiting_line.send_now(alice.pk, QueueSendNow(message_id=one)),
        ):
            with pytest.raises(NotFound, match="sent or removed"):
                await in_db(change)

    async def test_each_changes_only_their_own(self, alice: User, bob: User, mallory: User) -> None:
        first = await in_db(say, alice)
        await in_db(member, first.conversation_id, bob)
        [a1] = await queue(alice, first.conversation_id, "a1")
        [b1] = await queue(bob, first.conversation_id, "b1")
        for user, one, error in ((bob, a1, Forbidden), (alice, b1, Forbidden), (mallory, a1, NotFound)):
            for change in (
                lambda: waiting_line.edit(user.pk, QueueEdit(message_id=one, text="x")),  # noqa: B023
                lambda: waiting_line.send_now(user.pk, QueueSendNow(message_id=one)),  # noqa: B023
                lambda: waiting_line.move(user.pk, QueueMove(message_id=one)),  # noqa: B023
            ):
                with pytest.raises(error):
                    await in_db(change)
        for user, error in ((bob, Forbidden), (mallory, NotFound)):
            with pytest.raises(error):
                await in_db(waiting_line.remove, user.pk, QueueRemove(message_id=a1))
        await in_db(waiting_line.remove, alice.pk, QueueRemove(message_id=b1))
        assert await in_db(line, first.conversation_id) == [("a1", "")]

    async def test_a_late_event_does_not_undo_a_newer_one(self, alice: User) -> None:
        first = await in_db(say, alice)
        [one] = await queue(alice, first.conversation_id, "one")
        old = await in_db(lambda: QueuedMessage.objects.select_related("author").get(pk=one))
        await in_db(waiting_line.edit, alice.pk, QueueEdit(message_id=one, text="new"))
        await waiting_events.publish(first.conversation_id)
        await waiting_events._publish([old])  # its process was paused
        texts = [
            each["message"]["text"] for each in await logged(first.conversation_id) if each["type"] == "message.queued"
        ]  # noqa: E501
        assert texts == ["one", "new"]


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
