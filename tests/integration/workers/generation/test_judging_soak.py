"""Many short answers while two judges fail at random: every run ends, nothing is lost, no verdict comes twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.models import Message, ModerationCase, Run, RunStatus
from chat.models.moderation import Action, Category, Direction, Severity
from chat.runs.claims import claim
from tests.fakes.judge_server import JudgeServer
from tests.fixtures.judged_runs import OWNER, ScriptedModel, Worker, places_with
from tests.fixtures.run_rows import say
from tests.integration.workers.generation.judging import NoPool
from workers.generation import run as run_module
from workers.moderation.config import CategoryPolicy, JudgeDefinition
from workers.moderation.panel import Panel
from workers.moderation.registry import make_backend
from workers.providers.config import Definition
from workers.providers.model_facts import ModelFacts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]

RUNS = 60
AT_ONCE = 12
BAD_QUESTION, BAD_ANSWER = "canary5q", "canary5a"


def judging(server: JudgeServer, name: str, mode: Any, *, closed: bool) -> JudgeDefinition:
    return JudgeDefinition(
        id=name, name=name, version=1, backend="json" if name == "chat" else "openai", model="m",
        endpoint=Definition(id=name, name=name, base_url=server.url), mode=mode, seconds=0.5, behind_seconds=0.5,
        directions=frozenset({Direction.ASKED, Direction.ANSWERED}),
        policies=(CategoryPolicy(Category.HATE, 0.5, Action.BLOCK, Severity.HIGH, closed=closed),),
    )  # fmt: skip


async def test_a_soak_with_judges_that_fail_at_random(
    alice: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(run_module, "shared_pool", NoPool)
    settings.TITLE_MODEL = settings.SUMMARY_MODEL = ""
    chosen = random.Random(14)
    async with JudgeServer() as moderation, JudgeServer() as chat:
        for number, server in enumerate((moderation, chat)):
            server.scores_of = lambda text: {"hate": 0.9} if "canary5" in text else {}
            server.misbehaves_now_and_then(0.3, seed=number)
        panel = Panel(partial(make_backend, facts=ModelFacts()), 0.2)
        panel.set_judges([
            judging(moderation, "moderation", "before", closed=False), judging(chat, "chat", "parallel", closed=True),
        ])  # fmt: skip
        asked: list[tuple[Any, bool, bool]] = []
        workers: list[Worker] = []
        free = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, bad_question: bool, bad_answer: bool) -> None:
            word = f"{BAD_QUESTION}{number}" if bad_question else "trains"
            said = f"{BAD_ANSWER}{number}" if bad_answer else "trains"
            model = ScriptedModel("First sentence. ", f"Then {said}. ", *("And on. " for _ in range(5)))
            model.before = lambda _number: asyncio.sleep(0.01)
            worker = Worker(model, panel)
            workers.append(worker)
            async with free:
                accepted = await in_db(say, alice, f"Tell me about {word} please.")
                asked.append((accepted.run_id, bad_question, bad_answer))
                claimed = await in_db(claim, accepted.run_id, OWNER)
                assert claimed is not None
                await worker.begin(claimed)
                await worker.settled()

        await asyncio.gather(
            *(one(number, chosen.random() < 0.3, chosen.random() < 0.3) for number in range(RUNS))
        )  # fmt: skip
        for worker in workers:
            await worker.close()
        await panel.aclose()
    await in_db(check, asked)


def check(asked: list[tuple[Any, bool, bool]]) -> None:
    ends: Counter[tuple[str, str]] = Counter()
    for run_id, bad_question, bad_answer in asked:
        run = Run.objects.select_related("message", "prompt").get(pk=run_id)
        ends[run.status, run.error_code] += 1
        assert run.status in (RunStatus.DONE, RunStatus.STOPPED, RunStatus.FAILED)
        assert (run.lease_expires_at, run.ended_in_log or run.finished_at is not None) == (None, True)
        if run.status == RunStatus.FAILED:
            assert (run.error_code, run.prompt.text != "") == ("moderation_unavailable", True)
            assert run.error_message
        cases = {str(case.target_id): case for case in ModerationCase.objects.filter(conversation=run.conversation)}
        for message, bad in ((run.prompt, bad_question), (run.message, bad_answer)):
            check_message(run, message, cases.get(str(message.pk)), bad=bad)
    assert len(ends) > 1, "judges found something, and failed"
    assert ModerationCase.objects.values("target_id").distinct().count() == ModerationCase.objects.count()
    assert UsageEntry.objects.filter(purpose="moderation").exists()
    assert not UsageEntry.objects.filter(purpose="moderation", user__isnull=False).exists()


def check_message(run: Run, message: Message, case: ModerationCase | None, *, bad: bool) -> None:
    if case is None:
        assert not message.moderation
        assert message.text or message.role == "assistant", "a text was withheld without a case"
        return
    details = [repr(sorted(one.items(), key=str)) for one in case.rules]
    assert len(details) == len(set(details)), "a verdict came twice"
    if message.moderation:
        assert message.moderation["case_id"] == str(case.pk)
        assert case.original, "what was withheld is in its case"
        assert case.original.startswith(message.text)
        hit = bad and any("judge" in one for one in case.rules)
        if hit:
            word = BAD_QUESTION if message.role == "user" else BAD_ANSWER
            assert word in case.original
            [canary] = [one for one in case.original.replace(".", " ").split() if one.startswith(word)]
            if message.role == "assistant":
                assert canary not in message.text
                assert {place for place in places_with(canary) if place != "chat_moderationcase"} == set()
