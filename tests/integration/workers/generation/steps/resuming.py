"""Attempts that die between steps, and what the log shows of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Run
from chat.recovery import reaper
from chat.recovery.reaper import reap
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.run_rows import say, shift
from tests.fixtures.tool_runs import (
    ScriptedModel,
    calls,
    know_a_tool,
    says,
)
from tests.fixtures.written_answers import Worker
from workers.providers.base import ChatTurn

ANSWER = "Looking.\n\nSending.\n\nAll is done."


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "Do it")
    await announce(turn)
    return turn


@pytest.fixture(autouse=True)
def no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper._Outage, "seen_at", float("-inf"))

    async def publish(run_ids: object) -> None:
        """There is no broker."""

    monkeypatch.setattr(reaper, "publish", publish)


class ModelByHistory(ScriptedModel):
    """Answers by what it is given, as a real model does: it looks, then sends, then says that all is done."""

    def __init__(self) -> None:
        super().__init__([])

    def stream(self, model: str, turns: list[ChatTurn], **kwargs: Any) -> Any:  # type: ignore[override]
        returned = sum(turn.role == "tool" for turn in turns)
        script = [
            calls(("a", "look", {"n": 1}), ("b", "look", {"n": 2}), text="Looking."),
            [],
            calls(("c", "send", {"n": 3}), text="Sending."),
            says("All is done."),
        ][returned]
        self.scripts = [script]
        return super().stream(model, turns, **kwargs)


def shown(events: list[dict[str, Any]]) -> tuple[str, dict[str, set[str]]]:
    """The text that a reader of the log has at its end, and for each call the statuses of its results."""
    text, attempt = "", 0
    results: dict[str, set[str]] = {}
    for event in events:
        if event.get("attempt", 0) > attempt or event.get("next_attempt"):
            attempt = max(event.get("attempt", 0), event.get("next_attempt", 0))
            text = text[: event.get("kept", {}).get("text", 0)]
        if event["type"] == "run.delta":
            assert event["index"] == len(text)
            text += event["text"]
        if event["type"] == "tool.call":
            results.setdefault(event["call_id"], set())
        if event["type"] == "tool.result":
            results[event["call_id"]].add(event["status"])
    return text, results


async def attempt_that_dies(turn: Accepted, worker: Worker, model: ScriptedModel, dying: asyncio.Event) -> bool:
    """Runs one attempt until it ends, or `dying` is set: then it dies at once. Whether it died."""
    writing = await worker.begin(turn, model)
    fate = asyncio.create_task(dying.wait())
    await asyncio.wait({writing, fate}, return_when=asyncio.FIRST_COMPLETED)
    if not dying.is_set():
        fate.cancel()
        await worker.close()
        return False
    await worker.die(writing)
    await lose(turn)
    return True


async def lose(turn: Accepted) -> None:
    """The run's lease expires. What the worker's threads still have under way may hold its row for a moment."""
    await in_db(shift, turn.run_id, lease_expires_at=-1)
    for _ in range(100):
        await reap()
        if not await Run.objects.filter(pk=turn.run_id, status="running").aexists():
            return
        await asyncio.sleep(0.05)


def death(dying: asyncio.Event) -> Callable[..., Any]:
    """What a tool does whose worker dies with it."""

    async def die(*_: Any) -> Any:
        dying.set()
        await asyncio.Event().wait()

    return die
