"""Judges of questions and answers: what they find, what follows, and that what they withhold is nowhere any more."""

from __future__ import annotations

import asyncio

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.models import ModerationCase, ModerationDecision, Run, Unjudged
from chat.models.moderation import Action, CaseStatus, DecisionKind, Severity
from chat.runs.claims import claim
from chat.turns.stop import mark_stopped
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
from tests.integration.workers.generation.judging import BAD, CASES, QUESTION, Start, case_of, question_of
from tests.integration.workers.generation.judging import start as start  # a fixture
from workers.generation.judge_shown import ShownJudge
from workers.moderation.findings import UNCHECKED_QUESTION

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]


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
    await ShownJudge(worker.services).judge()
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
