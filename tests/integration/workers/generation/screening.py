"""What the tests of screened answers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Message, ModerationCase, Reasoning, Run
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.redis_contents import redis_contents
from tests.fixtures.run_rows import row, say
from tests.fixtures.written_answers import Worker
from workers.generation import run as generation_run
from workers.providers.base import Chunk

BAD = "Xylophone"
LATE = (r"opening(?: \w+){3,20} closing",)  # longer than what is held back


class Rendered:
    async def render_soon(self, text: str) -> str:
        return f"<p>{text}</p>"


@pytest.fixture(autouse=True)
def quick_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_run, "shared_pool", Rendered)


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    turn = await in_db(say, alice)
    await announce(turn)
    return turn


@pytest.fixture
async def worker(layer: None) -> AsyncGenerator[Worker, None]:
    made = Worker()
    yield made
    await made.emitter.stop()


def answering(action: str, words: str = BAD, **fields: Any) -> Any:
    return add_rule(action, words, ["answered"], **fields)


def thought(text: str) -> Chunk:
    return Chunk("", reasoning=text)


async def forever() -> None:
    await asyncio.Event().wait()


def texts(events: list[dict[str, Any]], kind: str = "run.delta") -> str:
    return "".join(event["text"] for event in events if event["type"] == kind)


def case_of(turn: Accepted) -> ModerationCase:
    return ModerationCase.objects.get(target_id=row(turn.run_id).message.pk)


def everything() -> str:
    """All that Redis and the tables that readers and models read hold."""
    rows = [*Message.objects.values(), *Run.objects.values(), *Reasoning.objects.values()]
    return redis_contents() + repr(rows)
