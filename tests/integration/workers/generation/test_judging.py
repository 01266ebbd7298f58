"""Judges of questions and answers: what they find, what follows, and that what they withhold is nowhere any more."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.models import Message, ModerationCase, ModerationDecision, Run, RunStatus, Unjudged
from chat.models.moderation import Action, CaseStatus, Category, DecisionKind, Direction, Severity
from chat.runs.lifecycle import claim
from chat.turns.stop import mark_stopped
from tests.fixtures.judged_runs import (
    OWNER,
    ScriptedJudge,
    ScriptedModel,
    Worker,
    definition,
    finds,
    is_away,
    panel_of,
    places_with,
    until,
)
from tests.fixtures.run_rows import row, say
from workers.generation import run as run_module
from workers.generation.output_judge import OutputJudge
from workers.moderation.config import JudgeDefinition
from workers.moderation.findings import UNCHECKED_ANSWER, UNCHECKED_QUESTION

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]

BAD = "canary7f"  # in what judges find
QUESTION = f"Tell me about {BAD} please."
CASES = "chat_moderationcase"
Start = Callable[..., Worker]


class _NoPool:
    async def render_soon(self, text: str) -> str:
        return f"<p>{text}</p>"


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch, settings: Any) -> AsyncGenerator[Start]:
    """`start(backend, *definitions, model=...)` starts a worker."""
    monkeypatch.setattr(run_module, "shared_pool", _NoPool)
    settings.TITLE_MODEL = settings.SUMMARY_MODEL = ""
    started: list[Worker] = []

    def begin(backend: ScriptedJudge, *judges: JudgeDefinition, model: ScriptedModel | None = None) -> Worker:
        worker = Worker(model or ScriptedModel("Hello ", "there."), panel_of(backend, *judges))
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        await worker.close()


def question_of(run: Run) -> Message:
    return Message.objects.get(pk=run.prompt_id)


def case_of(run: Run, *, answered: bool = False) -> ModerationCase:
    return ModerationCase.objects.get(target="message", target_id=run.message_id if answered else run.prompt_id)


# --- questions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["before", "parallel"])
async def test_a_harmless_question_is_answered_and_the_site_pays_for_the_judge(
    start: Start, alice: User, mode: str
) -> None:
    judge = ScriptedJudge(finds(BAD))
    worker = start(judge, definition(mode=mode))
    run = await worker.answer(alice, "Hello you")
    assert (run.status, run.message.text) == ("done", "Hello there.")
    assert judge.texts == ["Hello you"]
    assert await in_db(ModerationCase.objects.count) == 0
    entry = await in_db(UsageEntry.objects.get, purpose="moderation")
    assert (entry.user_id, entry.model, entry.endpoint) == (None, "judge-model", "judge.example.org")
    assert (entry.input_tokens, entry.output_tokens, entry.messages) == (7, 1, 0)
    assert entry.conversation_id == run.conversation_id


@pytest.mark.parametrize("mode", ["before", "parallel"])
async def test_a_refused_question_is_nowhere_but_in_its_case(start: Start, alice: User, mode: str) -> None:
    model = ScriptedModel("An answer ", f"about {BAD}.")
    worker = start(ScriptedJudge(finds(BAD)), definition(mode=mode, notice="Not here."), model=model)
    run = await worker.answer(alice, QUESTION)
    assert (run.status, run.error_code, run.error_message) == ("stopped", "moderated", "Not here.")
    case = await in_db(case_of, run)
    question = await in_db(question_of, run)
    assert (question.text, run.message.text) == ("", "")
    assert question.moderation == {"action": "block", "reason": "Not here.", "case_id": str(case.pk)}
    assert (case.original, case.direction, case.origin, case.action) == (QUESTION, "asked", "judge", "block")
    assert (case.category, case.severity, case.person_id) == ("hate", Severity.HIGH, alice.pk)
    assert case.rules[0]["scores"] == {"hate": 0.9}
    assert case.rules[0]["version"] == 3
    assert await in_db(places_with, BAD) == {CASES}
    assert len(model.asked) == (0 if mode == "before" else model.closed)
    assert not await in_db(Run.objects.filter(pk=run.pk, lease_expires_at__isnull=False).exists)


async def test_in_parallel_nothing_is_read_before_the_verdict_and_a_hit_closes_the_request(
    start: Start, alice: User
) -> None:
    verdict = asyncio.Event()
    judge = ScriptedJudge(finds(BAD))
    judge.before = lambda _text: verdict.wait()
    model = ScriptedModel(*("word " for _ in range(50)), reasoning="Let me think.")
    worker = start(judge, definition(mode="parallel"), model=model)
    accepted = await in_db(say, alice, QUESTION)
    claimed = await in_db(claim, accepted.run_id, OWNER)
    running = worker.begin(claimed)
    await until(lambda: model.asked and judge.texts)
    await asyncio.sleep(0.2)
    assert worker.generation is not None
    assert (worker.generation.log.text, worker.generation.log.reasoning) == ("", "")
    assert model.said < len(model.pieces)
    verdict.set()
    await running
    assert model.closed == 1
    assert model.said < len(model.pieces), "it was closed, not read to its end"
    run = await in_db(row, accepted.run_id)
    assert (run.status, run.error_code) == ("stopped", "moderated")


async def test_a_flagged_question_is_answered_and_has_a_case(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    worker = start(judge, definition(Action.FLAG))
    run = await worker.answer(alice, QUESTION)
    assert (run.status, (await in_db(question_of, run)).text) == ("done", QUESTION)
    assert (await in_db(question_of, run)).moderation == {}
    assert (await in_db(case_of, run)).action == "flag"


async def test_a_held_question_waits_without_a_lease(start: Start, alice: User) -> None:
    model = ScriptedModel("An answer.")
    worker = start(ScriptedJudge(finds(BAD)), definition(Action.HOLD, mode="parallel"), model=model)
    run = await worker.answer(alice, QUESTION)
    assert (run.status, run.waiting_for, run.lease_expires_at, run.enqueued_at) == ("waiting", "moderation", None, None)
    assert (run.message.status, run.message.text) == ("pending", "")
    case = await in_db(case_of, run)
    assert (await in_db(question_of, run)).moderation["action"] == "hold"
    assert (case.original, case.action) == (QUESTION, "hold")
    assert await in_db(places_with, BAD) == {CASES}
    assert model.closed == len(model.asked)


async def test_a_stop_that_comes_first_ends_a_held_question(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    worker = start(judge, definition(Action.HOLD))
    accepted = await in_db(say, alice, QUESTION)
    claimed = await in_db(claim, accepted.run_id, OWNER)
    await in_db(mark_stopped, accepted.run_id)
    await worker.begin(claimed)
    await worker.settled()
    run = await in_db(row, accepted.run_id)
    assert (run.status, (await in_db(question_of, run)).text) == ("stopped", "")


async def test_a_stop_before_the_verdict_does_not_spare_the_question(start: Start, alice: User) -> None:
    verdict = asyncio.Event()
    judge = ScriptedJudge(finds(BAD))
    judge.before = lambda _text: verdict.wait()
    worker = start(judge, definition())
    accepted = await in_db(say, alice, QUESTION)
    running = worker.begin(await in_db(claim, accepted.run_id, OWNER))
    await until(lambda: judge.texts)
    assert worker.generation is not None
    worker.generation.stop()
    await running
    verdict.set()
    await worker.settled()
    run = await in_db(row, accepted.run_id)
    assert (run.status, (await in_db(question_of, run)).text) == ("stopped", "")
    assert await in_db(places_with, BAD) == {CASES}


async def test_a_question_is_judged_once(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    judging = definition(Action.FLAG)
    worker = start(judge, judging)
    run = await worker.answer(alice, QUESTION)
    await in_db(Run.objects.filter(pk=run.pk).update, status="queued", finished_at=None)
    await worker.answer_run(run.pk)
    assert len(judge.texts) == 1
    case = await in_db(case_of, run)
    assert len(case.rules) == 1
    worker.services.judges.set_judges([definition(Action.BLOCK)])
    await in_db(decide, case, DecisionKind.RELEASE)
    await in_db(Run.objects.filter(pk=run.pk).update, status="queued", finished_at=None)
    assert (await worker.answer_run(run.pk)).status == "done"
    assert len(judge.texts) == 1, "a reviewer has released it"


def decide(case: ModerationCase, kind: DecisionKind) -> None:
    ModerationDecision.objects.create(case=case, kind=kind)
    ModerationCase.objects.filter(pk=case.pk).update(status=CaseStatus.DECIDED, decided_at=timezone.now())


async def test_a_withheld_question_is_not_answered_by_another_attempt(start: Start, alice: User) -> None:
    model = ScriptedModel("An answer.")
    worker = start(ScriptedJudge(finds(BAD)), definition(), model=model)
    run = await worker.answer(alice, QUESTION)
    await in_db(Run.objects.filter(pk=run.pk).update, status="queued", finished_at=None)
    again = await worker.answer_run(run.pk)
    assert (again.status, again.error_code, model.asked) == ("stopped", "moderated", [])


async def test_a_judge_that_is_away_lets_through_and_is_asked_later(start: Start, alice: User) -> None:
    worker = start(ScriptedJudge(is_away), definition())
    run = await worker.answer(alice, "Hello you")
    await worker.settled()
    assert run.status == "done"
    assert not await in_db(ModerationCase.objects.exists), "an outage does not fill the queue"
    assert (await in_db(Unjudged.objects.get)).message_id == run.prompt_id


@pytest.mark.parametrize("mode", ["before", "parallel"])
async def test_a_judge_that_is_away_and_must_be_asked_refuses_with_a_sentence(
    start: Start, alice: User, mode: str
) -> None:
    worker = start(ScriptedJudge(is_away), definition(closed=True, mode=mode))
    run = await worker.answer(alice, "Hello you")
    assert (run.status, run.error_code) == ("failed", "moderation_unavailable")
    assert run.error_message == UNCHECKED_QUESTION
    assert ((await in_db(question_of, run)).text, run.message.text) == ("Hello you", ""), "it may be tried again"


async def test_the_severest_of_several_judges_decides(start: Start, alice: User) -> None:
    judge = ScriptedJudge(finds(BAD))
    worker = start(judge, definition(Action.FLAG, name="A"), definition(Action.BLOCK, name="B"))
    run = await worker.answer(alice, QUESTION)
    assert run.error_code == "moderated"
    assert [entry["name"] for entry in (await in_db(case_of, run)).rules] == ["A", "B"]


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
