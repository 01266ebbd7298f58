"""What people enter for calls of tools is read by the judges of questions before the answer goes on."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.models import ModerationCase
from chat.models.moderation import Action, Direction
from chat.models.rewritten import Rewritten
from chat.turns import deciding
from chat.turns.accepted import Accepted
from tests.fixtures.judged_runs import ScriptedJudge, definition, finds, is_down, panel_of, places_with
from tests.fixtures.logged_events import logged
from tests.fixtures.tool_rows import QUESTION
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, rows, says, worker_with
from tests.integration.workers.generation.steps.test_approving import decide
from workers.generation.steps.entered import UNCHECKED
from workers.generation.steps.screening import ENTERED_WITHHELD
from workers.generation.tool_use.approval import PolicyApprovals
from workers.tools.base import Question, QuestionAskedError, ToolContext, ToolResult

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]

BAD = "Xylophone"


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def enqueue(run_id: uuid.UUID) -> None:
        """The test's workers claim runs by themselves."""

    monkeypatch.setattr(deciding, "enqueue", enqueue)


async def ask(arguments: Any, context: ToolContext) -> ToolResult:
    if not context.answers:
        schema: Any = {"type": "object", "properties": {"where": {"type": "string"}}}
        raise QuestionAskedError(Question(QUESTION["sentence"], schema))  # type: ignore[arg-type]  # any
    return ToolResult("Booked.")


async def go_on(
    turn: Accepted, tool: CountingTool, judge: ScriptedJudge, action: Action = Action.BLOCK, *, closed: bool = False,
    on_worker: Callable[[Any], object] = lambda _worker: None,
) -> ScriptedModel:  # fmt: skip
    """The next worker, with a judge of what people write."""
    worker, model = worker_with(tool, owner="w2"), ScriptedModel(says("Done."))
    worker.more["judges"] = panel_of(judge, definition(action, Direction.ASKED, closed=closed, notice="No music."))
    worker.more["approvals"] = PolicyApprovals()
    on_worker(worker)
    await worker.write(turn, model)
    return model


async def wait(turn: Accepted, tool: CountingTool) -> None:
    worker = worker_with(tool)
    worker.more["approvals"] = PolicyApprovals()
    await worker.write(turn, ScriptedModel(calls(("a", tool.name, {"to": "carol"}), text="Sending.")))
    run, _, _ = await in_db(rows, turn.run_id)
    assert run.status == "waiting"


def sender() -> CountingTool:
    return CountingTool("send", effect="writes", approval="ask")


ESCAPED = '{"to": "' + "".join(f"\\u{ord(letter):04x}" for letter in BAD) + '"}'
ENTERED: list[Any] = [
    (sender, "once", {"arguments": {"to": f"a {BAD}"}}),
    (sender, "once", {"arguments": ESCAPED}),
    (lambda: CountingTool("book", work=ask), "once", {"answer": {"where": f"by {BAD}"}}),
    (sender, "deny", {"reason": f"Not by {BAD}."}),
]


@pytest.mark.parametrize("action", [Action.HOLD, Action.BLOCK])
@pytest.mark.parametrize(("make", "decision", "entered"), ENTERED, ids=["edited", "escapes", "answer", "denial"])
async def test_what_a_judge_withholds_is_nowhere_and_the_call_is_not_made(
    alice: User, turn: Accepted, action: Action, make: Callable[[], CountingTool], decision: str, entered: Any
) -> None:
    tool = make()
    await wait(turn, tool)
    begun = len(tool.began)
    await decide(alice, turn, decision, **entered)
    model = await go_on(turn, tool, ScriptedJudge(finds(BAD)), action)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, len(tool.began), model.asked) == ("stopped", "moderated", begun, [])
    assert run.error_message == "Stopped by this site's rules: No music."
    assert made[0].output == ENTERED_WITHHELD
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.direction, case.origin, case.action) == ("refused", "asked", "judge", "block")
    assert (case.person_id, BAD in case.original) == (alice.pk, True)
    assert run.message.moderation == {"action": "block", "reason": "No music.", "case_id": str(case.pk)}
    assert run.message.text == "Sending."
    assert await in_db(Rewritten.objects.count) == 0, "the log has begun anew"
    assert BAD not in str(await logged(turn))
    assert await in_db(places_with, BAD) == {"chat_moderationcase"}


async def test_harmless_entries_are_judged_and_used(alice: User, turn: Accepted) -> None:
    send, judge = sender(), ScriptedJudge(finds(BAD))
    await wait(turn, send)
    await decide(alice, turn, arguments={"to": "dave"})
    await go_on(turn, send, judge)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, send.given, judge.texts) == ("done", [{"to": "dave"}], ['{"to": "dave"}'])
    assert await in_db(UsageEntry.objects.filter(purpose="moderation").count) == 1


async def test_an_approval_without_words_is_not_judged(alice: User, turn: Accepted) -> None:
    send, judge = sender(), ScriptedJudge(finds(BAD))
    await wait(turn, send)
    await decide(alice, turn)
    await go_on(turn, send, judge)
    assert (judge.texts, send.given) == ([], [{"to": "carol"}])


async def test_a_flag_opens_a_case_and_changes_nothing(alice: User, turn: Accepted) -> None:
    send = sender()
    await wait(turn, send)
    await decide(alice, turn, arguments={"to": BAD})
    await go_on(turn, send, ScriptedJudge(finds(BAD)), Action.FLAG)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, send.given) == ("done", [{"to": BAD}])
    assert (await in_db(ModerationCase.objects.get)).action == "flag"


@pytest.mark.parametrize("closed", [True, False])
async def test_while_the_judge_is_away(alice: User, turn: Accepted, closed: bool) -> None:
    send = sender()
    await wait(turn, send)
    await decide(alice, turn, arguments={"to": "dave"})
    await go_on(turn, send, ScriptedJudge(is_down), closed=closed)
    run, _, _ = await in_db(rows, turn.run_id)
    if closed:
        assert (run.status, run.error_code, send.given) == ("stopped", "moderated", [])
        assert UNCHECKED in run.error_message
    else:
        assert (run.status, send.given) == ("done", [{"to": "dave"}])


async def test_a_stop_before_the_verdict_spares_nothing(alice: User, turn: Accepted) -> None:
    send, judge = sender(), ScriptedJudge(finds(BAD))
    await wait(turn, send)
    await decide(alice, turn, arguments={"to": BAD})
    workers: list[Any] = []

    async def stop(_text: str) -> None:
        workers[0].generation.stop()
        await asyncio.sleep(0.05)

    judge.before = stop
    await go_on(turn, send, judge, on_worker=workers.append)
    async with asyncio.timeout(20):
        while not await in_db(ModerationCase.objects.exists):
            await asyncio.sleep(0.02)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, send.began, made[0].edited_arguments) == ("stopped", [], "")
