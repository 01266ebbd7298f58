"""Images that a tool returns go to a model that sees, with the result and after a wait, and to no other."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.catalog.access import clear_rules_cache
from chat.models import KnownModel, ToolFile
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, decide, know_a_tool, rows, says, worker_with
from workers.generation.request_context import NothingKnown
from workers.providers.base import ToolImage
from workers.tools.base import Picture, ToolContext, ToolResult

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]

PNG = b"\x89PNG\r\n\x1a\n"


class Knows(NothingKnown):
    def __init__(self, *, sees: bool | None) -> None:
        super().__init__()
        self._sees = sees

    def sees(self, model: str) -> bool | None:
        return self._sees


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "What is on it?")
    await announce(turn)
    return turn


async def picture(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    return ToolResult("[It returned only a picture.]", pictures=[Picture("image/png", PNG)])


def shown(model: ScriptedModel, request: int) -> tuple[str, list[ToolImage]]:
    [result] = [one for one in model.asked[request] if one.role == "tool" and one.call_id == "a"]
    return result.content, list(result.images)


@pytest.mark.parametrize("sees", [True, None, False])
async def test_they_are_sent_with_the_result(turn: Accepted, sees: bool | None) -> None:
    worker = worker_with(CountingTool(work=picture))
    worker.more["models"] = Knows(sees=sees)
    model = ScriptedModel(calls(("a", "look", {})), says("A map."))
    await worker.write(turn, model)
    content, images = shown(model, 1)
    assert images == ([] if sees is False else [ToolImage("image/png", PNG)])
    assert ("an image that you cannot be shown" in content) == (sees is False)


@pytest.fixture
def rules() -> Generator[None]:
    """What this process knows of what staff say of models is of this test."""
    yield
    clear_rules_cache()


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(("said", "listed"), [(True, False), (False, True), (False, None)])
async def test_what_staff_say_of_a_model_counts_before_its_list(
    turn: Accepted, said: bool, listed: bool | None
) -> None:
    await in_db(KnownModel.objects.create, name="small", sees=said)
    clear_rules_cache()
    worker = worker_with(CountingTool(work=picture))
    worker.more["models"] = Knows(sees=listed)
    model = ScriptedModel(calls(("a", "look", {})), says("A map."))
    await worker.write(turn, model)
    assert shown(model, 1)[1] == ([ToolImage("image/png", PNG)] if said else [])


async def test_they_come_again_after_a_wait_unless_their_file_is_gone(turn: Accepted) -> None:
    look, send = CountingTool(work=picture), CountingTool("send", effect="writes", approval="ask")
    asks = [calls(("a", "look", {})), calls(("b", "send", {}))]
    await worker_with(look, send).write(turn, ScriptedModel(*asks))
    await in_db(decide, turn.run_id)
    again = ScriptedModel(calls(("c", "send", {})))
    await worker_with(look, send, owner="w2").write(turn, again)
    assert shown(again, 0)[1] == [ToolImage("image/png", PNG)]
    await in_db(ToolFile.objects.all().delete)
    await in_db(decide, turn.run_id)
    last = ScriptedModel(says("Done."))
    await worker_with(look, send, owner="w3").write(turn, last)
    assert shown(last, 0)[1] == []
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, len(look.began)) == ("done", 1)
