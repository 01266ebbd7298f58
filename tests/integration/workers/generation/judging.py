"""A worker with judges, for the tests of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from chat.models import Message, ModerationCase, Run
from tests.fixtures.judged_runs import (
    ScriptedJudge,
    ScriptedModel,
    Worker,
    panel_of,
)
from workers.generation import run as run_module
from workers.moderation.config import JudgeDefinition

BAD = "canary7f"  # in what judges find
QUESTION = f"Tell me about {BAD} please."
CASES = "chat_moderationcase"
Start = Callable[..., Worker]


class NoPool:
    async def render_soon(self, text: str) -> str:
        return f"<p>{text}</p>"


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch, settings: Any) -> AsyncGenerator[Start]:
    """`start(backend, *definitions, model=...)` starts a worker."""
    monkeypatch.setattr(run_module, "shared_pool", NoPool)
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
