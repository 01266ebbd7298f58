"""Waiting lines as rows: what waits, what goes when an answer has ended, and that nothing is sent twice or lost."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.models import Message, ModerationCase, QueuedMessage, Run
from chat.protocol.commands import MessageRegenerate, TurnOptions
from chat.protocol.errors import Busy, ChatError, Conflict, Forbidden, Invalid, Moderated, NotFound
from chat.protocol.queue import QueueEdit, QueueMove, QueueRemove, QueueSendNow
from chat.turns import line_rows, waiting_events, waiting_line
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.going_on import go_on
from chat.turns.waiting_line import Queued
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.run_rows import message, row, say
from tests.fixtures.waiting_rows import (
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
            accept,
            alice.pk,
            message("Next", conversation_id=first.conversation_id, client_id=command.client_id, ask=True),
        )
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


class TestChanging:
    async def test_edit_and_remove(self, alice: User) -> None:
        first = await in_db(say, alice)
        command = queued(first.conversation_id, "one")
        await send(alice, command)
        [two] = await queue(alice, first.conversation_id, "two")
        [one] = [row.pk for row in await in_db(line_rows.waiting_rows, first.conversation_id)][:1]
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
        ]
        assert texts == ["one", "new"]
