"""An answer with images that the model made itself: kept as files of its last step, shown, copied, exported, judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.copying import fork
from chat.eventlog.tool_events import read_steps
from chat.models import Run, ToolFile
from chat.recovery.ledger import check_ledger
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests import made_files as made
from tests.fixtures.logged_events import logged
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, rows, says, worker_with
from tests.integration.workers.generation.steps.resuming import attempt_that_dies
from tests.integration.workers.generation.steps.resuming import no_outage as no_outage  # a fixture
from workers.generation.steps import loop, stored
from workers.providers.base import Chunk, TokenUsage, ToolImage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]

PNG, JPEG = ToolImage("image/png", made.image((40, 30))), ToolImage("image/jpeg", made.image((30, 40), "JPEG"))
END = Chunk(usage=TokenUsage(100, 1_290), finish_reason="stop")


def draws(*images: ToolImage, text: str = "") -> list[Any]:
    """The pieces of an answer with images."""
    return [*([text] if text else []), *(Chunk(images=(one,)) for one in images), END]


def kept(run_id: Any) -> list[tuple[str, str, bytes]]:
    found = ToolFile.objects.filter(call__run=run_id).order_by("pk")
    return [(one.name, one.media_type, bytes(one.content)) for one in found]


async def test_they_are_files_of_the_answer(turn: Accepted) -> None:
    model = ScriptedModel(draws(PNG, JPEG, text="Here they are."))
    await worker_with(CountingTool()).write(turn, model)
    run, steps, made_calls = await in_db(rows, turn.run_id)
    assert (run.status, run.finish, run.error_code, run.message.text) == ("done", "stop", "", "Here they are.")
    assert [(one.kind, one.status) for one in steps] == [("model", "done"), ("tool", "done")]
    assert [(one.name, one.title, one.status) for one in made_calls] == [("image", "Image", "ok")]
    assert made_calls[0].output == "[The model made these images.]"
    assert await in_db(kept, turn.run_id) == [
        ("image-1.png", "image/png", PNG.content), ("image-2.jpeg", "image/jpeg", JPEG.content),
    ]  # fmt: skip
    assert (run.input_tokens, run.output_tokens, len(model.asked)) == (100, 1_290, 1)
    of_steps = [one for one in await logged(turn) if one["type"] in ("run.step", "tool.call", "tool.result")]
    assert [(one["type"], one.get("status")) for one in of_steps] == [
        ("run.step", "done"), ("run.step", "running"), ("tool.call", None), ("tool.result", "ok"), ("run.step", "done"),
    ]  # fmt: skip
    assert of_steps[2]["title"] == "Image"
    [shown] = (await in_db(read_steps, [turn.run_id]))[turn.run_id][-1]["calls"]
    assert [one["name"] for one in shown["files"]] == ["image-1.png", "image-2.jpeg"]


async def test_an_image_alone_is_an_answer(turn: Accepted) -> None:
    await worker_with(CountingTool()).write(turn, ScriptedModel(draws(PNG)))
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("done", "", "")
    assert await in_db(kept, turn.run_id) == [("image.png", "image/png", PNG.content)]


async def test_beside_calls_of_tools_which_are_made(turn: Accepted) -> None:
    tool = CountingTool()
    model = ScriptedModel([Chunk(images=(PNG,)), *calls(("a", "look", {}), text="First this.")], says("Done."))
    await worker_with(tool).write(turn, model)
    run, _, made_calls = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text) == ("done", "First this.\n\nDone.")
    assert [(one.name, one.status) for one in made_calls] == [("look", "ok"), ("image", "ok")]
    assert [call.name for one in model.asked[1] for call in one.calls] == ["look"], "the model is not told of it"
    assert await in_db(kept, turn.run_id) == [("image.png", "image/png", PNG.content)]


async def test_a_copy_has_them(turn: Accepted, alice: User) -> None:
    await worker_with(CountingTool()).write(turn, ScriptedModel(draws(PNG)))
    run = await in_db(Run.objects.get, pk=turn.run_id)
    copied = await in_db(fork, alice.pk, run.message_id)
    assert await in_db(lambda: ToolFile.objects.filter(conversation=copied).count()) == 1


async def test_a_rule_that_their_names_break_withholds_the_answer(alice: User, layer: None) -> None:
    await in_db(add_rule, "hold", "image", ("answered",))
    turn = await in_db(say, alice, "Draw")
    await announce(turn)
    await worker_with(CountingTool()).write(turn, ScriptedModel(draws(PNG)))
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code) == ("stopped", "moderated")
    assert await in_db(kept, turn.run_id) == []


async def test_a_worker_that_is_lost_after_it_stored_them_is_followed_by_one_that_ends_the_answer(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = asyncio.Event()
    real = stored.stored

    async def dying_stored(write: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = await real(write, *args, **kwargs)
        if write.__name__ == "record_model_step" and not dying.is_set():
            dying.set()
            await asyncio.Event().wait()
        return result

    monkeypatch.setattr(loop, "stored", dying_stored)
    model = ScriptedModel(draws(PNG, text="Here it is."))
    assert await attempt_that_dies(turn, worker_with(CountingTool(), owner="first"), model, dying)
    await worker_with(CountingTool(), owner="second").write(turn, model)
    run, _, made_calls = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("done", "", "Here it is.")
    assert [one.status for one in made_calls] == ["ok"]
    assert await in_db(kept, turn.run_id) == [("image.png", "image/png", PNG.content)]
    assert len(model.asked) == 1, "the model is not asked again"
    assert await in_db(check_ledger) == []
