"""Answers whose calls wait for a person, by the real policies: from the request to the answer, over several workers."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation, ToolApproval, ToolPolicy
from chat.protocol.deciding import ToolDecide
from chat.turns import deciding
from chat.turns.accepted import Accepted
from chat.turns.deciding import decide_and_publish
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.run_rows import say
from tests.fixtures.tool_rows import QUESTION
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, know_a_tool, rows, says, worker_with
from tests.fixtures.written_answers import Worker
from workers.generation.steps import calls as steps_calls
from workers.generation.tool_use.approval import PolicyApprovals
from workers.tools.base import Question, QuestionAskedError, ToolContext, ToolResult
from workers.tools.policy import OFF

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


@pytest.fixture
async def turn(alice: User, layer: None, monkeypatch: pytest.MonkeyPatch) -> Accepted:
    async def enqueue(run_id: uuid.UUID) -> None:
        """There is no broker: the test's workers claim runs by themselves."""

    monkeypatch.setattr(deciding, "enqueue", enqueue)
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "Do it")
    await announce(turn)
    return turn


def worker(*tools: CountingTool, owner: str = "w") -> Worker:
    made = worker_with(*tools, owner=owner)
    made.more["approvals"] = PolicyApprovals()
    return made


async def decide(user: User, turn: Accepted, decision: Any = "once", **fields: Any) -> None:
    _, _, made = await in_db(rows, turn.run_id)
    for call in made:
        if call.status == "waiting":
            await decide_and_publish(
                user.pk, ToolDecide(run_id=turn.run_id, call_id=call.pk, decision=decision, **fields)
            )


async def test_a_call_waits_is_allowed_with_other_arguments_and_made_once(alice: User, turn: Accepted) -> None:
    send = CountingTool("send", effect="writes", approval="ask")
    asks = calls(("a", "send", {"to": "carol"}), text="Sending.")
    await worker(send).write(turn, ScriptedModel(asks))
    run, steps, made = await in_db(rows, turn.run_id)
    assert (run.status, run.waiting_for, made[0].status, send.began) == ("waiting", "approval", "waiting", [])
    assert [step.kind for step in steps] == ["model", "tool", "approval"]
    await decide(alice, turn, arguments='{"to": "dave"}')
    model = ScriptedModel(says("Done."))
    await worker(send, owner="w2").write(turn, model)
    run, steps, made = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text) == ("done", "Sending.\n\nDone.")
    assert (send.given, made[0].status) == ([{"to": "dave"}], "ok")
    assert send.began == [made[0].pk]
    events = await logged(turn)
    text, attempt = "", 0
    for event in events:
        if event.get("attempt", 0) > attempt:
            attempt, text = event["attempt"], text[: event.get("kept", {}).get("text", 0)]
        text += event["text"] if event["type"] == "run.delta" else ""
    assert text == run.message.text
    kinds = [event["type"] for event in events]
    assert kinds.count("run.interrupted") == 0, "a wait is no lost worker"
    for kind in ("tool.approval", "tool.decided", "run.resumed", "tool.result", "run.done"):
        assert kinds.count(kind) == 1, kind
    order = [kinds.index(kind) for kind in ("run.waiting", "tool.decided", "run.resumed", "run.started", "tool.result")]
    assert order[0] < order[1] < order[2] < order[4]
    shown = (await read_snapshot(turn.conversation_id)).messages[-1]["run"]["steps"]
    [decision] = shown[2]["decisions"]
    assert (decision["by"]["name"], decision["decision"], decision["edited"]) == ("Alice", "once", True)


async def test_what_is_denied_is_not_made_and_the_model_reads_it(alice: User, turn: Accepted) -> None:
    send = CountingTool("send", effect="writes", approval="ask")
    await worker(send).write(turn, ScriptedModel(calls(("a", "send", {}))))
    await decide(alice, turn, "deny")
    model = ScriptedModel(says("I did not."))
    await worker(send).write(turn, model)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, made[0].status, send.began) == ("done", "denied", [])
    [result] = [one for one in model.asked[0] if one.role == "tool"]
    assert "did not allow" in str(result)


async def test_what_is_remembered_does_not_ask_until_content_from_outside_comes_in(alice: User, turn: Accepted) -> None:
    send = CountingTool("send", effect="writes", approval="ask")
    look = CountingTool("look", outside=True)
    await worker(send, look).write(turn, ScriptedModel(calls(("a", "send", {"n": 1}))))
    await decide(alice, turn, "conversation")
    script = [calls(("b", "send", {"n": 2})), calls(("c", "look", {})), calls(("d", "send", {"n": 3}))]
    await worker(send, look).write(turn, ScriptedModel(*script))
    run, _, made = await in_db(rows, turn.run_id)
    assert await in_db(ToolApproval.objects.count) == 1
    assert (await in_db(Conversation.objects.get)).outside_content_at is not None
    assert (run.status, [one.status for one in made]) == ("waiting", ["ok", "ok", "ok", "waiting"])
    assert "outside" in made[-1].why
    await decide(alice, turn)
    await in_db(ToolPolicy.objects.create, server="", tool="send", rule="never")  # staff's word for exactly this tool
    await worker(send, look).write(turn, ScriptedModel(calls(("e", "send", {"n": 4})), says("Done.")))
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, [one["n"] for one in send.given]) == ("done", [1, 2, 3, 4])


async def test_what_was_allowed_is_made_by_no_other_servers_tool_of_that_name(alice: User, turn: Accepted) -> None:
    ours = CountingTool("send", effect="writes", approval="ask", server="ours")
    await worker(ours).write(turn, ScriptedModel(calls(("a", "send", {"to": "carol"}))))
    await decide(alice, turn)
    theirs = CountingTool("send", effect="writes", approval="never", server="theirs")
    await worker(theirs, owner="w2").write(turn, ScriptedModel(says("Not sent.")))
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, theirs.began) == ("done", "error", [])
    assert call.output.startswith("There is no tool with this name.")


async def test_what_was_allowed_is_made_though_its_tool_has_another_name_now(alice: User, turn: Accepted) -> None:
    """Another server has a tool of that name since, so models call both by longer names."""
    ours = CountingTool("send", effect="writes", approval="ask", server="ours")
    await worker(ours).write(turn, ScriptedModel(calls(("a", "send", {"to": "carol"}))))
    await decide(alice, turn)
    both = [CountingTool(f"{server}__send", effect="writes", server=server) for server in ("theirs", "ours")]
    await worker(*both, owner="w2").write(turn, ScriptedModel(says("Sent.")))
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, [len(one.done) for one in both]) == ("done", "ok", [0, 1])


async def test_a_tool_that_is_off_is_refused_without_a_wait(alice: User, turn: Accepted) -> None:
    send = CountingTool("send", effect="writes", approval="never")
    await in_db(ToolPolicy.objects.create, server="", tool="send", rule="off")
    await worker(send).write(turn, ScriptedModel(calls(("a", "send", {})), says("I may not.")))
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, made[0].status, made[0].output, send.began) == ("done", "error", OFF, [])


async def test_a_question_is_asked_and_answered(alice: User, turn: Accepted) -> None:
    async def ask(arguments: Any, context: ToolContext) -> ToolResult:
        if not context.answers:
            raise QuestionAskedError(Question(QUESTION["sentence"], QUESTION["schema"]))  # type: ignore[arg-type]  # any
        return ToolResult(f"Booked {context.answers[0]['flight']}.")

    book = CountingTool("book", work=ask)
    await worker(book).write(turn, ScriptedModel(calls(("a", "book", {}))))
    run, _, made = await in_db(rows, turn.run_id)
    assert run.status == "waiting"
    assert made[0].question is not None
    assert made[0].question["sentence"] == "Which flight?"
    await decide(alice, turn, answer={"flight": "LH1"})
    await worker(book).write(turn, ScriptedModel(says("Done.")))
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, made[0].output, len(set(book.began))) == ("done", "Booked LH1.", 1)


async def test_a_tool_that_asks_for_ever_is_ended(alice: User, turn: Accepted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_calls, "MOST_QUESTIONS", 2)

    async def ask(arguments: Any, context: ToolContext) -> ToolResult:
        raise QuestionAskedError(Question(QUESTION["sentence"], QUESTION["schema"]))  # type: ignore[arg-type]  # any

    book = CountingTool("book", work=ask)
    await worker(book).write(turn, ScriptedModel(calls(("a", "book", {}))))
    for _ in range(2):
        run, _, made = await in_db(rows, turn.run_id)
        assert (run.status, made[0].status) == ("waiting", "waiting")
        await decide(alice, turn, answer={"flight": "LH1"})
        await worker(book).write(turn, ScriptedModel(says("Done.")))
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, len(book.began)) == ("done", "error", 3)
    assert "questions" in call.output


async def test_a_question_that_no_form_can_show_fails_its_call_alone(turn: Accepted) -> None:
    async def ask(arguments: Any, context: ToolContext) -> ToolResult:
        raise QuestionAskedError(Question("Where?", {"type": "object", "properties": {"place": {"type": "object"}}}))

    await worker(CountingTool("book", work=ask)).write(turn, ScriptedModel(calls(("a", "book", {})), says("Done.")))
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, made[0].status) == ("done", "error")
    assert "field place" in made[0].output
