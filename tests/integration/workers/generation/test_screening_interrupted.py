"""Screened answers that are continued, stopped, or lose their worker."""

from __future__ import annotations

import asyncio

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models.moderation import CaseStatus
from chat.moderation.rewriting import rewrite_message
from chat.protocol.commands import MessageContinue, MessageRegenerate
from chat.protocol.errors import Invalid
from chat.recovery import reaper
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from chat.turns.stop import mark_stopped
from chat.turns.submit import announce
from tests.fixtures.run_rows import row, shift
from tests.fixtures.written_answers import Model, Worker
from tests.integration.workers.generation.screening import (
    BAD,
    answering,
    case_of,
    everything,
    forever,
)
from tests.integration.workers.generation.screening import quick_rendering as quick_rendering  # a fixture
from tests.integration.workers.generation.screening import turn as turn  # a fixture
from tests.integration.workers.generation.screening import worker as worker  # a fixture
from workers.providers.base import Chunk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


async def test_a_moderated_answer_is_not_continued_but_asked_for_again(
    turn: Accepted, worker: Worker, alice: User
) -> None:
    await in_db(answering, "block")
    await worker.write(turn, Model("I know a ", "Xylophone and"))
    answer = (await in_db(row, turn.run_id)).message_id
    with pytest.raises(Invalid, match="site's rules"):
        await in_db(accept_continue, alice.pk, MessageContinue(message_id=answer, client_id=turn.run_id))
    again = MessageRegenerate(message_id=answer, client_id=turn.run_id)
    assert (await in_db(accept, alice.pk, again)).run_id != turn.run_id


async def test_one_that_staff_released_can_be_continued(turn: Accepted, worker: Worker, alice: User) -> None:
    await in_db(answering, "block")
    await worker.write(turn, Model("I know a ", "Xylophone and"))
    answer = (await in_db(row, turn.run_id)).message_id
    assert await in_db(rewrite_message, answer, "I know a Xylophone and", {})
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.error_message) == ("stopped", "", "")
    await in_db(accept_continue, alice.pk, MessageContinue(message_id=answer, client_id=turn.run_id))


async def test_a_hit_over_the_joint_of_a_continued_answer(turn: Accepted, worker: Worker, alice: User) -> None:
    """It began in the part before, so it is late; the case has the original of both parts."""
    await in_db(answering, "mask", "badger\nkill you", locale="en")
    await worker.write(turn, Model("A badger will kill ", Chunk("", finish_reason="length")))
    first = await in_db(row, turn.run_id)
    assert first.message.text == "A *** will kill "
    on = await in_db(accept_continue, alice.pk, MessageContinue(message_id=first.message_id, client_id=turn.run_id))
    await announce(on)
    other = Worker("w2")
    await other.write(on, Model("you all. ", "The end."))
    run = await in_db(row, on.run_id)
    assert (run.status, run.message.text) == ("done", "A *** will *** all. The end.")
    assert (await in_db(case_of, turn)).original == "A badger will kill you all. The end."


async def test_a_worker_that_dies_after_the_hit_shows_nothing_of_it(turn: Accepted, worker: Worker) -> None:
    """It dies before its commit: its lease expires, and the next process ends the answer with what was shown."""
    await in_db(answering, "block")
    model = Model("I know a ", worker.flushed, "Xylophone and ", forever)
    blocked = asyncio.Event()

    async def hang(*_: object) -> None:
        blocked.set()
        await forever()

    writing = await worker.begin(turn, model)
    assert worker.generation is not None
    worker.generation._commit = hang  # type: ignore[method-assign,assignment]
    async with asyncio.timeout(30):
        await blocked.wait()
    await worker.die(writing)
    await in_db(shift, turn.run_id, lease_expires_at=-1)
    await reaper.reap()
    run = await in_db(row, turn.run_id)
    assert (run.status, run.message.text) == ("interrupted", "I know a ")
    assert BAD not in await in_db(everything)


async def test_a_worker_that_dies_while_it_holds_back(turn: Accepted, worker: Worker) -> None:
    """Nothing was shown, so the next attempt begins again; what was held back is in no checkpoint."""
    await in_db(answering, "block")
    held = asyncio.Event()

    async def hang() -> None:
        await worker.flushed()
        held.set()
        await forever()

    writing = await worker.begin(turn, Model("Xylo", hang))
    async with asyncio.timeout(30):
        await held.wait()
    assert worker.generation is not None
    assert worker.generation.screen is not None
    assert worker.generation.screen.answer.held == 4
    await worker.die(writing)
    await in_db(shift, turn.run_id, lease_expires_at=-1)
    await reaper.reap()
    assert (await in_db(row, turn.run_id)).status == "queued"
    assert "Xylo" not in await in_db(everything)
    other = Worker("w2")
    await other.write(turn, Model("Xylo", "metal"))
    assert (await in_db(row, turn.run_id)).message.text == "Xylometal"


async def test_a_stop_at_the_same_moment_as_a_block(turn: Accepted, worker: Worker) -> None:
    """The user's stop comes first: the hit that waits in the worker is withheld all the same."""
    await in_db(answering, "block")

    async def stop() -> None:
        await worker.flushed()
        await in_db(mark_stopped, turn.run_id)
        assert worker.generation is not None
        worker.generation.log.feed("Xylophone and so on ")
        worker.generation.stop()
        await forever()

    async with asyncio.timeout(30):
        await worker.write(turn, Model("I know a ", stop))
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("stopped", "moderated", "I know a ")
    assert BAD not in await in_db(everything)


async def test_a_filter_that_fails_ends_the_answer(
    turn: Accepted, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not shown unscreened; other answers of the process go on."""
    await in_db(answering, "block")

    async def break_it() -> None:
        await worker.flushed()
        assert worker.generation is not None
        assert worker.generation.screen is not None
        monkeypatch.setattr(worker.generation.screen.answer._filter, "feed", None)

    async with asyncio.timeout(30):
        await worker.write(turn, Model("I know a ", break_it, "thing that ", forever))
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("failed", "internal", "I know a ")


async def test_a_second_hit_of_the_same_answer_joins_its_case(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "mask", "badger")
    await in_db(answering, "block")
    await worker.write(turn, Model("A badger and a ", "Xylophone sing"))
    case = await in_db(case_of, turn)
    assert (case.action, case.status, len(case.rules)) == ("block", CaseStatus.OPEN, 2)
    assert (await in_db(row, turn.run_id)).message.text == "A *** and a "
