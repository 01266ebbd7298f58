"""What a model thought goes with a question that is withheld late, also where there is no answer."""

from __future__ import annotations

import json

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.models import Message, ModerationCase, Reasoning, Run, RunStatus
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.runs.unread import judge_later
from chat.shares.frozen import read_frozen
from chat.shares.links import Wanted, create_share
from chat.turns.changing import edit_message
from tests.fixtures.judged_runs import OWNER, ScriptedJudge, ScriptedModel, definition, finds, is_away, places_with
from tests.fixtures.run_rows import say
from tests.integration.chat.review.deciding import RELEASE, decided
from tests.integration.chat.review.deciding import mo as mo  # a fixture
from tests.integration.workers.generation.judging import BAD, CASES, QUESTION, Start
from tests.integration.workers.generation.judging import start as start  # a fixture
from tests.integration.workers.generation.test_withheld_late import answered_while_away, judge_shown
from workers.generation.judge_shown import ShownJudge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]


async def test_thinking_without_an_answer_goes_with_its_question(start: Start, alice: User) -> None:
    """It was stopped before its first word: the message has no text, and its run has thinking that readers see."""
    accepted = await in_db(say, alice, QUESTION)
    await in_db(claim, accepted.run_id, OWNER)
    await in_db(end_run, accepted.run_id, 1, RunStatus.STOPPED, Ending("", f"They ask about {BAD}."))
    run = await in_db(Run.objects.get, pk=accepted.run_id)
    assert "They ask" in json.dumps((await read_snapshot(run.conversation_id, alice.pk)).messages, default=str)
    link, _ = await in_db(create_share, alice.pk, run.conversation_id, Wanted(show_reasoning=True))
    assert BAD in repr(await in_db(lambda: read_frozen(link, before=None, limit=9)))
    worker = start(ScriptedJudge(finds(BAD)), definition())
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}
    assert "They ask" not in repr(await in_db(lambda: read_frozen(link, before=None, limit=9)))
    assert "They ask" not in json.dumps((await read_snapshot(run.conversation_id, alice.pk)).messages, default=str)
    case = await in_db(ModerationCase.objects.get, target_id=run.message_id)
    assert (case.original, case.original_reasoning) == ("", f"They ask about {BAD}.")


async def test_thinking_that_quotes_an_earlier_question_goes_with_it(start: Start, alice: User) -> None:
    run, worker = await answered_while_away(start, alice, "It is a word.")
    model = ScriptedModel("You asked something.", reasoning=f"They said: {QUESTION}")
    later = await start(ScriptedJudge(is_away), definition(), model=model).answer(
        alice, "What did I say?", conversation_id=run.conversation_id
    )
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}
    case = await in_db(ModerationCase.objects.get, target_id=later.message_id)
    assert (case.original, case.original_reasoning) == ("You asked something.", f"They said: {QUESTION}")


async def test_thinking_that_is_being_written_goes_with_its_question(start: Start, alice: User) -> None:
    """The worker that thinks is lost after the verdict, and others end its run."""
    worker = start(ScriptedJudge(finds(BAD)), definition())
    accepted = await in_db(say, alice, QUESTION)
    await in_db(claim, accepted.run_id, OWNER)
    await in_db(judge_later, accepted.message_id)
    await ShownJudge(worker.services).judge()
    ending = Ending("", f"They ask about {BAD}.", error_code="worker_lost")
    await in_db(end_run, accepted.run_id, 1, RunStatus.INTERRUPTED, ending)
    await judge_shown(worker)
    assert await in_db(places_with, BAD) == {CASES}


async def test_the_thinking_of_an_answer_that_a_person_has_edited_goes_alone(start: Start, alice: User) -> None:
    model = ScriptedModel("It is a word.", reasoning=f"They ask about {BAD}.")
    away = start(ScriptedJudge(is_away), definition(), model=model)
    run = await away.answer(alice, QUESTION)
    await in_db(edit_message, alice.pk, run.message_id, "A text of Alice.")
    await judge_shown(start(ScriptedJudge(finds(BAD)), definition()))
    assert await in_db(places_with, BAD) == {CASES}
    assert (await in_db(Message.objects.get, pk=run.message_id)).text == "A text of Alice."


async def test_a_reviewer_brings_thinking_back_with_its_answer(start: Start, alice: User, mo: User) -> None:
    model = ScriptedModel("It is a word.", reasoning=f"They ask about {BAD}.")
    run = await start(ScriptedJudge(is_away), definition(), model=model).answer(alice, QUESTION)
    await judge_shown(start(ScriptedJudge(finds(BAD)), definition()))
    case = await in_db(ModerationCase.objects.get, target_id=run.message_id)
    await in_db(decided, case, mo, RELEASE)
    assert (await in_db(Message.objects.get, pk=run.message_id)).text == "It is a word."
    assert (await in_db(Reasoning.objects.get, run=run.pk)).text == f"They ask about {BAD}."
