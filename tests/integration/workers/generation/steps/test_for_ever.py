"""A model that calls the same tool for ever, also when it is told to answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.eventlog.payloads import NO_ANSWER
from chat.turns.submit import announce
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, know_a_tool, rows, worker_with
from workers.providers.base import ChatTurn, Chunk, OnRequest, Options, ProviderError

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


class Stubborn(ScriptedModel):
    """It ignores that it is to call no more, which its provider reports as every dialect does."""

    @asynccontextmanager
    async def stream(
        self, model: str, turns: Sequence[ChatTurn], *, options: Options, on_request: OnRequest
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        if options.call_no_more:
            self.options.append(options)
            raise ProviderError("upstream_tool_call", "The model called a tool, though none was offered.")
        async with super().stream(model, turns, options=options, on_request=on_request) as answer:
            yield answer


@pytest.mark.parametrize("text", ["Let me look.", ""])
async def test_the_answer_ends_with_what_is_there(alice: User, layer: None, text: str) -> None:
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "Go on")
    await announce(turn)
    model = Stubborn(calls(("a", "look", {}), text=text))
    await worker_with(CountingTool()).write(turn, model)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.finish) == ("done", "tool_limit")
    assert run.message.text.startswith(text)
    assert (run.error_code == NO_ANSWER) == (not text)
    assert len(made) == len(model.options) - 1 <= 12
