"""What a model gets of files when something goes wrong: it refuses the length, or a file is deleted meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.file_removal import delete_file
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation, Run
from chat.protocol.errors import TooLarge
from chat.protocol.limits import MAX_TEXT_BYTES
from tests import made_files as made
from tests.fixtures.tool_runs import ScriptedModel, says
from tests.integration.workers.files.conftest import Keep
from tests.integration.workers.files.test_giving import LONG, Window, answer, ask, question, ready, used
from tests.integration.workers.files.test_knowledge import PAGES, asked, collection, shown_run
from workers.files.loading import plan_given
from workers.generation.steps import run_files
from workers.providers.base import ProviderError

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]

TOO_LONG = ProviderError("context_too_long", "Too long.", said="maximum context length is 1500 tokens")


async def refuse() -> None:
    raise TOO_LONG


async def test_a_model_that_refuses_the_length_gets_fewer_passages(alice: User, keep: Keep) -> None:
    file = await ready(await in_db(keep, alice, made.pdf(LONG), "long.pdf", "pdf", "application/pdf"))
    turn = await ask(alice, "What about number 17?", file)
    model = await answer(turn, Window(60_000), ScriptedModel([refuse], says("Well.")))
    before, after = question(model).content, question(model, 1).content
    assert "[page 30]" in before
    assert "[page 30]" not in after
    assert "talk of number 17 " in after
    assert after.endswith("What about number 17?")
    [(kind, given, total, reason)] = await used(turn)
    assert (kind, total, reason) == ("passages", 40, "refused_length")
    assert 1 <= given < 25
    run = await in_db(Run.objects.get, pk=turn.run_id)
    assert run.status == "done"
    snapshot = await read_snapshot(run.conversation_id, alice.pk)
    [shown] = [one["run"]["files"] for one in snapshot.messages if one["run"]]
    assert shown[0]["reason"] == "The model refused more of it as too long."


async def test_a_second_refusal_is_the_end(alice: User, keep: Keep) -> None:
    file = await ready(await in_db(keep, alice, made.pdf(LONG), "long.pdf", "pdf", "application/pdf"))
    turn = await ask(alice, "What about number 17?", file)
    model = await answer(turn, Window(60_000), ScriptedModel([refuse]))
    assert len(model.asked) == 2
    run = await in_db(Run.objects.get, pk=turn.run_id)
    assert (run.status, run.error_code) == ("failed", "context_too_long")


async def test_and_fewer_passages_of_collections(alice: User, keep: Keep) -> None:
    pdf = await ready(await in_db(keep, alice, made.pdf(PAGES), "long.pdf", "pdf", "application/pdf"))
    handbook = await collection(alice, pdf)
    turn = await asked(alice, "What about topic17?", handbook)
    model = await answer(turn, Window(60_000), ScriptedModel([refuse], says("It is there [17].")))
    before, after = question(model).content, question(model, 1).content
    assert "long.pdf, page 30" in before
    assert "long.pdf, page 30" not in after
    assert "long.pdf, page 17" in after
    [source] = (await shown_run(turn, alice))["sources"]
    assert source["label"] == "page 17", "the number still leads to the passage"


@pytest.mark.parametrize("when", ["before its text is read", "after"])
async def test_a_file_that_is_deleted_while_the_run_reads_it(
    alice: User, keep: Keep, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await ready(await in_db(keep, alice, b"The crocodile waits.", "a.txt", "text", "text/plain"))
    turn = await ask(alice, "Who waits?", file)

    def plan_and_delete(*args: Any, **more: Any) -> Any:
        if when != "after":
            delete_file(alice.pk, file.pk)
        found = plan_given(*args, **more)
        if when == "after":
            delete_file(alice.pk, file.pk)
        return found

    monkeypatch.setattr(run_files, "plan_given", plan_and_delete)
    asked = question(await answer(turn))
    assert ("The crocodile waits." in asked.content) is (when == "after")
    assert asked.content.endswith("Who waits?")
    run = await in_db(Run.objects.get, pk=turn.run_id)
    assert run.status == "done"
    assert await used(turn) == []
    snapshot = await read_snapshot(run.conversation_id, alice.pk)
    assert [one["deleted_files"] for one in snapshot.messages if one.get("deleted_files")] == [1]


async def test_a_text_at_its_limit_may_have_files_beside_it(alice: User, keep: Keep) -> None:
    file = await in_db(keep, alice, b"The crocodile waits.", "a.txt", "text", "text/plain")
    with pytest.raises(TooLarge):
        await ask(alice, "x" * (MAX_TEXT_BYTES + 1), file)
    assert await in_db(Conversation.objects.count) == 0
    turn = await ask(alice, "x" * MAX_TEXT_BYTES, await ready(file))
    asked = question(await answer(turn, Window(200_000)))
    assert "The crocodile waits." in asked.content
    assert asked.content.endswith("x" * MAX_TEXT_BYTES)
