"""Texts that no judge had read when their run ended, and what repeats a question that is withheld after its answer."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.copying import fork
from chat.models import Message, ModerationCase, Run, RunStatus, Unjudged
from chat.models.moderation import Action, Direction
from chat.protocol.commands import MessageRegenerate
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.runs.unread import judge_later
from chat.turns.accept import accept
from chat.turns.changing import edit_message
from chat.turns.stop import mark_stopped
from tests.fixtures.judged_runs import (
    OWNER,
    ScriptedJudge,
    ScriptedModel,
    Worker,
    definition,
    finds,
    is_away,
    places_with,
    until,
)
from tests.fixtures.run_rows import say
from tests.integration.workers.generation.judging import BAD, CASES, QUESTION, Start
from tests.integration.workers.generation.judging import start as start  # a fixture
from workers.generation.judge_shown import ShownJudge
from workers.generation.output_judge import OutputJudge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]
ANSWERS = (Action.BLOCK, Direction.ANSWERED)


async def judge_shown(worker: Worker) -> None:
    """Rounds until nothing waits: an answer is noted when its question is withheld."""
    for _ in range(3):
        await in_db(lambda: Unjudged.objects.update(next_try_at=timezone.now()))
        await ShownJudge(worker.services).judge()
        await worker.settled()
    assert not await in_db(Unjudged.objects.exists)


# --- runs that end before a verdict ----------------------------------------------------------------------------------


async def test_a_question_that_is_stopped_in_the_queue_is_judged(start: Start, alice: User) -> None:
    accepted = await in_db(say, alice, QUESTION)
    await in_db(mark_stopped, accepted.run_id)
    worker = start(ScriptedJudge(finds(BAD)), definition())
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}


async def test_a_question_whose_worker_stops_before_it_asks_a_judge_is_judged(start: Start, alice: User) -> None:
    worker = start(ScriptedJudge(finds(BAD)), definition())
    accepted = await in_db(say, alice, QUESTION)
    running = worker.begin(await in_db(claim, accepted.run_id, OWNER))
    assert worker.generation is not None
    worker.generation.stop()
    await running
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}


async def test_what_a_lost_worker_leaves_is_judged(start: Start, alice: User) -> None:
    """The question, and as much of the answer as there is."""
    accepted = await in_db(say, alice, QUESTION)
    await in_db(claim, accepted.run_id, OWNER)
    ending = Ending("An answer about other7f", error_code="worker_lost")
    await in_db(end_run, accepted.run_id, 1, RunStatus.INTERRUPTED, ending)
    judge = ScriptedJudge(lambda text: finds(BAD)(text) or finds("other7f")(text))
    worker = start(judge, definition(Action.BLOCK, Direction.ASKED, Direction.ANSWERED))
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}
    assert await in_db(places_with, "other7f") == {CASES}


async def test_the_end_of_an_answer_is_judged_by_another_worker_if_its_own_is_lost(
    start: Start, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(self: OutputJudge, text: str, *, withheld: bool) -> None:
        pass

    with monkeypatch.context() as patched:
        patched.setattr(OutputJudge, "finish", lost)
        worker = start(ScriptedJudge(finds(BAD)), definition(*ANSWERS), model=ScriptedModel(f"It ends with {BAD}"))
        run = await worker.answer(alice, "Hello you")
    assert run.status == "done"
    assert (await in_db(Unjudged.objects.get)).next_try_at > timezone.now(), "its own worker comes first"
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}


async def test_an_answer_that_is_all_judged_waits_for_nobody(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    worker = start(judge, definition(*ANSWERS), model=ScriptedModel("It ends well"))
    await worker.answer(alice, "Hello you")
    assert judge.texts == ["It ends well"]
    assert not await in_db(Unjudged.objects.exists)


async def test_an_answer_whose_judging_crashes_is_judged_later(
    start: Start, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(ScriptedJudge(finds(BAD)), definition(*ANSWERS), model=ScriptedModel(f"It ends with {BAD}"))

    def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(OutputJudge, "_note", crash)
        await worker.answer(alice, "Hello you")
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}


async def test_a_question_that_a_reviewer_released_is_not_judged_because_of_a_stop(start: Start, alice: User) -> None:
    accepted = await in_db(say, alice, QUESTION)
    released = {"action": "release", "reason": "", "case_id": ""}
    await in_db(Message.objects.filter(pk=accepted.message_id).update, moderation=released)
    await in_db(mark_stopped, accepted.run_id)
    assert not await in_db(Unjudged.objects.exists)


# --- what repeats a question -----------------------------------------------------------------------------------------


async def answered_while_away(start: Start, alice: User, *pieces: str, **fields: Any) -> tuple[Run, Worker]:
    """A question that was answered while its judge was away; and a worker whose judge is back."""
    away = start(ScriptedJudge(is_away), definition(), model=ScriptedModel(*pieces))
    run = await away.answer(alice, QUESTION, **fields)
    return run, start(ScriptedJudge(finds(BAD)), definition())


async def test_an_answer_goes_with_its_question(start: Start, alice: User) -> None:
    run, worker = await answered_while_away(start, alice, f"You asked about {BAD}.")
    assert run.status == "done"
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}
    answer = await in_db(Message.objects.get, pk=run.message_id)
    case = await in_db(ModerationCase.objects.get, target_id=run.message_id)
    assert (answer.text, answer.moderation["case_id"], case.original) == ("", str(case.pk), f"You asked about {BAD}.")
    assert (case.direction, case.person_id) == ("answered", alice.pk)


async def test_an_answer_that_is_being_written_goes_with_its_question(start: Start, alice: User) -> None:
    reached, on = asyncio.Event(), asyncio.Event()
    model = ScriptedModel(f"You asked about {BAD}. ", "More.")

    async def before(number: int) -> None:
        if number == 1:
            reached.set()
            await on.wait()

    model.before = before
    worker = start(ScriptedJudge(is_away), definition(), model=model)
    accepted = await in_db(say, alice, QUESTION)
    running = worker.begin(await in_db(claim, accepted.run_id, OWNER))
    await reached.wait()
    await until(lambda: worker.generation is not None and BAD in worker.generation.log.text)
    back = start(ScriptedJudge(finds(BAD)), definition())
    await in_db(judge_later, accepted.message_id)
    await ShownJudge(back.services).judge()
    assert worker.generation is not None
    worker.generation.stop()  # as its row says by now
    await running
    await worker.settled()
    await judge_shown(back)
    assert await in_db(places_with, BAD) == {CASES}


async def test_a_later_answer_that_quotes_the_question_goes_with_it(start: Start, alice: User) -> None:
    run, worker = await answered_while_away(start, alice, "It is a word.")
    quoting = start(ScriptedJudge(is_away), definition(), model=ScriptedModel(f"You said: “{QUESTION.upper()}”"))
    later = await quoting.answer(alice, "What did I say?", conversation_id=run.conversation_id)
    kept = start(ScriptedJudge(), definition(), model=ScriptedModel("Nothing of that."))
    other = await kept.answer(alice, "And now?", conversation_id=run.conversation_id)
    await judge_shown(worker)
    texts = dict(await in_db(lambda: list(Message.objects.filter(role="assistant").values_list("pk", "text"))))
    assert texts == {run.message_id: "", later.message_id: "", other.message_id: "Nothing of that."}
    assert await in_db(places_with, BAD) == {CASES}
    assert await in_db(places_with, BAD.upper()) == {CASES}


async def test_a_text_that_a_person_writes_for_the_answer_stays(start: Start, alice: User) -> None:
    run, worker = await answered_while_away(start, alice, f"You asked about {BAD}.")
    await judge_shown(worker)
    await in_db(Message.objects.filter(pk=run.message_id).update, text="x", moderation={})
    await in_db(edit_message, alice.pk, run.message_id, "That was not answered.")
    await judge_shown(worker)
    assert (await in_db(Message.objects.get, pk=run.message_id)).text == "That was not answered."


async def test_an_earlier_answer_goes_with_a_question_that_is_asked_again(start: Start, alice: User) -> None:
    """The judge was not there yet when it was asked first: now it withholds the question at the end of a run."""
    worker = start(ScriptedJudge(), model=ScriptedModel(f"You asked about {BAD}."))
    run = await worker.answer(alice, QUESTION)
    again = MessageRegenerate(message_id=run.message_id, client_id=uuid.uuid4())
    accepted = await in_db(accept, alice.pk, again)
    judged = start(ScriptedJudge(finds(BAD)), definition())
    assert (await judged.answer_run(accepted.run_id)).status == "stopped"
    await judge_shown(judged)
    assert await in_db(places_with, BAD) == {CASES}


# --- copies ----------------------------------------------------------------------------------------------------------


async def test_a_copy_of_a_question_that_is_being_judged_is_judged_too(start: Start, alice: User) -> None:
    verdict = asyncio.Event()
    judge = ScriptedJudge(finds(BAD))
    judge.before = lambda _text: verdict.wait()
    worker = start(judge, definition())
    accepted = await in_db(say, alice, QUESTION)
    running = worker.begin(await in_db(claim, accepted.run_id, OWNER))
    await until(lambda: judge.texts)
    copy: uuid.UUID = (await in_db(fork, alice.pk, accepted.message_id)).pk
    verdict.set()
    await running
    await judge_shown(worker)
    assert await in_db(lambda: list(Message.objects.filter(conversation=copy).values_list("text", flat=True))) == [""]
    assert await in_db(places_with, BAD) == {CASES}
