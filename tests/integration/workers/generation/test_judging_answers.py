"""Judges that read an answer while it is written."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.models import ModerationCase, Run, RunStatus, Unjudged
from chat.models.moderation import Action, Category, Direction
from chat.runs.claims import claim
from tests.fixtures.judged_runs import (
    OWNER,
    ScriptedJudge,
    ScriptedModel,
    definition,
    finds,
    is_away,
    places_with,
    until,
)
from tests.fixtures.run_rows import row, say
from tests.integration.workers.generation.judging import BAD, CASES, Start, case_of
from tests.integration.workers.generation.judging import start as start  # a fixture
from workers.generation.output_judge import OutputJudge
from workers.moderation.findings import UNCHECKED_ANSWER

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]
# --- answers ---------------------------------------------------------------------------------------------------------
ANSWER = ("First sentence. ", "Second sentence. ", "Now comes ", BAD, " indeed. ", *("And on. " for _ in range(200)))


async def test_a_hit_ends_the_answer_and_withdraws_it_from_the_judged_part_on(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    model = ScriptedModel(*ANSWER, reasoning=f"They want {BAD}.")

    async def before(number: int) -> None:
        if number == 2:  # two sentences are said: wait until the judge has both
            await until(lambda: "Second sentence." in "".join(judge.texts))
        if number == 5:  # the sentence with the hit is said: wait until the judge has it
            await until(lambda: any(BAD in text for text in judge.texts))
        await asyncio.sleep(0.01)

    model.before = before
    worker = start(judge, definition(Action.BLOCK, Direction.ANSWERED), model=model)
    run = await worker.answer(alice, "Hello you")
    assert (run.status, run.error_code) == ("stopped", "moderated")
    assert model.said < len(model.pieces)
    case = await in_db(case_of, run, answered=True)
    assert case.original.startswith("".join(ANSWER[:4]))
    assert (case.direction, case.action) == ("answered", "block")
    assert run.message.moderation["case_id"] == str(case.pk)
    assert run.message.text == "First sentence. Second sentence. "
    assert await in_db(places_with, BAD) == {CASES}
    assert (run.output_tokens or 0) > 10, "what was written is billed"


@pytest.mark.parametrize("action", [Action.BLOCK, Action.HOLD])
async def test_a_verdict_after_the_end_rewrites_the_message(start: Start, alice: User, action: Action) -> None:
    ended = asyncio.Event()
    judge = ScriptedJudge(finds(BAD))

    async def before(_text: str) -> None:
        await ended.wait()

    judge.before = before
    model = ScriptedModel("First sentence. ", f"Now {BAD}.")
    worker = start(judge, definition(action, Direction.ANSWERED), model=model)
    accepted = await in_db(say, alice, "Hello you")
    await worker.begin(await in_db(claim, accepted.run_id, OWNER))
    run = await in_db(row, accepted.run_id)
    assert (run.status, run.message.text) == ("done", f"First sentence. Now {BAD}."), "nobody waits for the judge"
    ended.set()
    await worker.settled()
    run = await in_db(row, accepted.run_id)
    case = await in_db(case_of, run, answered=True)
    assert case.original == f"First sentence. Now {BAD}."
    assert BAD not in run.message.text
    assert run.message.moderation["action"] == action.value
    assert await in_db(places_with, BAD) == {CASES}


async def test_flags_of_an_answer_are_one_case(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    model = ScriptedModel(*(f"Sentence {number} of {BAD}. " for number in range(5)))
    worker = start(judge, definition(Action.FLAG, Direction.ANSWERED), model=model)
    run = await worker.answer(alice, "Hello you")
    assert run.status == "done"
    case = await in_db(case_of, run, answered=True)
    assert (case.action, case.original) == ("flag", run.message.text)
    assert run.message.moderation == {}
    assert await in_db(UsageEntry.objects.filter(purpose="moderation").count) == 1


async def test_a_judge_of_answers_that_is_away(start: Start, alice: User) -> None:
    judge = ScriptedJudge(is_away)
    worker = start(judge, definition(Action.BLOCK, Direction.ANSWERED), model=ScriptedModel("One. ", "Two. "))
    run = await worker.answer(alice, "Hello you")
    await worker.settled()
    assert (run.status, run.message.text) == ("done", "One. Two. ")
    assert not await in_db(ModerationCase.objects.exists)
    assert (await in_db(Unjudged.objects.get)).message_id == run.message_id


async def test_a_judge_of_answers_that_is_away_and_must_be_asked(start: Start, alice: User) -> None:
    judge = ScriptedJudge(is_away)
    closed = definition(Action.BLOCK, Direction.ANSWERED, closed=True)
    worker = start(judge, closed, model=ScriptedModel("One. ", "Two. "))
    run = await worker.answer(alice, "Hello you")
    case = await in_db(case_of, run, answered=True)
    assert (case.action, case.notice) == ("block", UNCHECKED_ANSWER)
    assert run.message.moderation["reason"] == UNCHECKED_ANSWER
    assert run.message.text == ""
    assert case.original.startswith("One. "), "nothing is lost"


async def test_an_answer_that_its_user_talked_over_stays_as_short(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    model = ScriptedModel("One two three. ", f"Four {BAD}. ")
    worker = start(judge, definition(Action.BLOCK, Direction.ANSWERED), model=model)
    accepted = await in_db(say, alice, "Hello you")
    claimed = await in_db(claim, accepted.run_id, OWNER)
    await in_db(Run.objects.filter(pk=accepted.run_id).update, heard_chars=3)
    await worker.begin(claimed)
    await worker.settled()
    assert (await in_db(row, accepted.run_id)).message.text in ("One", "")
    assert BAD not in (await in_db(row, accepted.run_id)).message.text


# --- how answers are judged ------------------------------------------------------------------------------------------
def claimed_run(user: User) -> Any:
    claimed = claim(say(user, "Hello").run_id, OWNER)
    assert claimed is not None
    return claimed.run


async def test_it_judges_sentences_one_request_at_a_time_with_what_came_before(start: Start, alice: User) -> None:
    judge = ScriptedJudge()
    verdict = asyncio.Event()
    judge.before = lambda _text: verdict.wait()
    worker = start(judge, definition(Action.FLAG, Direction.ANSWERED))
    run = await in_db(claimed_run, alice)
    output = OutputJudge(worker.services, run)
    for piece in ("One", " two", ".", " Three"):
        output.feed(piece)
        await asyncio.sleep(0)
    await until(lambda: judge.texts)
    assert judge.texts == ["One two. Three"], "a sentence ends where the next begins"
    for piece in (" four. ", "Five. ", "Six"):
        output.feed(piece)
        await asyncio.sleep(0)
    assert len(judge.texts) == 1
    verdict.set()
    await until(lambda: len(judge.texts) == 2)
    assert judge.texts[1] == "One two. Three four. Five. Six"
    await output.finish("One two. Three four. Five. Six, the end.", withheld=False)
    assert judge.texts[2].endswith("Six, the end."), "also what never came into the log"
    assert judge.most_at_once == 1


async def test_text_without_sentences_is_judged_every_200_tokens(start: Start, alice: User) -> None:
    judge = ScriptedJudge()
    worker = start(judge, definition(Action.FLAG, Direction.ANSWERED))
    output = OutputJudge(worker.services, await in_db(claimed_run, alice))
    text = "".join(f"word{number} " for number in range(2000))
    for at in range(0, len(text), 6):
        output.feed(text[at : at + 6])
        await asyncio.sleep(0)
    await output.finish(text, withheld=False)
    judged = judge.texts
    assert 5 < len(judged) < 40
    carried = [later for earlier, later in itertools.pairwise(judged) if earlier[-20:] in later]
    assert len(carried) == len(judged) - 1
    assert max(map(len, judged)) < 2500
    together, place = "", 0
    for one in judged:
        place = text.index(one, max(0, place))
        together = text[: place + len(one)]
    assert together == text


async def test_without_judges_nothing_is_kept_or_counted(start: Start, alice: User) -> None:
    worker = start(ScriptedJudge())
    output = OutputJudge(worker.services, await in_db(claimed_run, alice))
    assert not output.active
    assert output.outcome("One. Two. ", None) is None
    run = await worker.answer(alice, "Hello you")
    assert run.status == RunStatus.DONE
    assert Category.HATE.value == "hate"
