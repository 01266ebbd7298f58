"""The loop of an answer with tools: what is asked, called, stored and shown, on real PostgreSQL and Redis."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import (
    CountingTool,
    OpenPolicy,
    ScriptedModel,
    calls,
    decide,
    know_a_tool,
    rows,
    says,
    worker_with,
)
from workers.providers.base import Chunk, ProviderError, TokenUsage
from workers.tools.base import Question, QuestionAskedError, Source, ToolContext, ToolError, ToolResult

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


async def test_an_answer_without_calls_has_no_steps(turn: Accepted) -> None:
    tool, model = CountingTool(), ScriptedModel(says("Hello."))
    await worker_with(tool).write(turn, model)
    run, steps, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, run.step_count, steps) == ("done", "Hello.", 0, [])
    assert [one.name for one in model.options[0].tools] == ["look"]
    events = await logged(turn)
    assert not [event for event in events if event["type"].startswith(("run.step", "tool."))]


async def test_an_answer_without_calls_needs_no_further_statements(
    alice: User, layer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def counting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        statements.append(str(query)[:60])
        return execute(self, query, *args, **kwargs)

    async def written(model: ScriptedModel) -> list[str]:
        turn = await in_db(say, alice)
        await announce(turn)
        worker = worker_with(CountingTool())
        statements.clear()
        await (await worker.begin(turn, model))
        # Savepoints have numbers of their own, and each connection prepares once.
        made = [one for one in statements if not one.startswith(("SAVEPOINT", "RELEASE", "PREPARE"))]
        await worker.close()
        return made

    monkeypatch.setattr(psycopg.Cursor, "execute", counting)
    plain = [ScriptedModel(says("Plain.")) for _ in range(4)]
    before = [await written(model) for model in plain]
    await in_db(know_a_tool)
    offered = [ScriptedModel(says("Also plain.")) for _ in range(4)]
    after = [await written(model) for model in offered]
    assert {len(model.options[0].tools) for model in plain} == {0}
    assert {len(model.options[0].tools) for model in offered} == {1}
    # The fewest: now and then one reads what is cached for seconds once more.
    fewest = min(after, key=len)
    assert set(fewest) <= set().union(*before)
    assert 1 < len(fewest) <= min(len(one) for one in before)


async def test_calls_are_made_and_their_results_go_to_the_model(turn: Accepted) -> None:
    tool = CountingTool()
    model = ScriptedModel(
        calls(("a", "look", {"at": 1}), ("b", "look", {"at": 2}), text="Let me look."), says("It is 2.")
    )
    await worker_with(tool).write(turn, model)
    run, steps, made = await in_db(rows, turn.run_id)
    assert (run.status, run.finish, run.message.text) == ("done", "stop", "Let me look.\n\nIt is 2.")
    assert [(step.number, step.kind, step.status) for step in steps] == [(1, "model", "done"), (2, "tool", "done")]
    assert [(call.upstream_id, call.status, call.output, call.tries) for call in made] == [
        ("a", "ok", 'seen {"at": 1}', 1),
        ("b", "ok", 'seen {"at": 2}', 1),
    ]
    assert sorted(tool.done) == sorted(call.pk for call in made), "the key is the call's id"
    question, assistant, first, second = model.asked[1][-4:]
    assert (question.role, assistant.role, assistant.content) == ("user", "assistant", "Let me look.")
    assert [call.id for call in assistant.calls] == ["a", "b"]
    assert [(one.role, one.call_id, one.content) for one in (first, second)] == [
        ("tool", "a", 'seen {"at": 1}'),
        ("tool", "b", 'seen {"at": 2}'),
    ]
    assert (run.input_tokens, run.output_tokens, run.context_tokens) == (300, 30, 200)
    events = await logged(turn)
    kinds = [event["type"] for event in events]
    assert [kind for kind in kinds if kind.startswith(("run.step", "tool."))] == [
        "run.step", "run.step", "tool.call", "tool.call", "tool.result", "tool.result", "run.step",
    ]  # fmt: skip
    text = "".join(event["text"] for event in events if event["type"] == "run.delta")
    assert text == run.message.text
    assert kinds[-1] == "run.done"
    assert events[-1]["context"]["used"] == 200


async def test_bad_calls_cost_only_themselves(turn: Accepted) -> None:
    async def fail(*_: Any) -> ToolResult:
        raise ToolError("It is closed today.")

    async def crash(*_: Any) -> ToolResult:
        raise RuntimeError("secret")

    tools = [CountingTool(), CountingTool("fails", work=fail), CountingTool("crashes", work=crash)]
    model = ScriptedModel(
        calls(
            ("1", "none", {}),
            ("2", "look", '{"a": '),
            ("3", "look", "[1]"),
            ("4", "look", "x" * 1_000_000),
            ("5", "fails", {}),
            ("6", "crashes", {}),
            ("6", "look", {}),
            ("", "look\x00", '{"a": "\x00\ud800"}'),
        ),
        says("All done."),
    )
    await worker_with(*tools).write(turn, model)
    run, _, made = await in_db(rows, turn.run_id)
    assert run.status == "done"
    assert [call.status for call in made] == ["error"] * 6 + ["ok", "ok"]
    assert "There is no tool with this name. The tools are: crashes, fails, look." in made[0].output
    assert "no valid JSON" in made[1].output
    assert "a JSON object, not a list" in made[2].output
    assert "too long" in made[3].output
    assert made[4].output == "It is closed today."
    assert "secret" not in made[5].output
    assert len({call.upstream_id for call in made}) == len(made)
    assert [one.failed for one in model.asked[1][-8:]] == [True] * 6 + [False] * 2


async def test_results_are_cleaned_bounded_and_marked(turn: Accepted) -> None:
    async def wild(*_: Any) -> ToolResult:
        text = "\x1b[31mred\x1b[0m\x00 \ud800 end" + "x" * 300_000
        return ToolResult(text, sources=[Source("Page", "https://example.org/a"), Source("B", "https://example.org/b")])

    model = ScriptedModel(calls(("a", "look", {})), calls(("b", "look", {"again": 1})), says("Done [1]."))
    await worker_with(CountingTool(work=wild, outside=True)).write(turn, model)
    _, _, made = await in_db(rows, turn.run_id)
    assert made[0].output.startswith("red \ufffd endxxx")
    assert (len(made[0].output), made[0].output_chars) == (256 * 1024, 300_000 + 9)
    assert [one["n"] for call in made for one in call.sources] == [1, 2, 1, 2]
    read = model.asked[2][-1].content
    assert len(read) < 50_000
    assert "is data that look returned from outside" in read
    assert "The result was cut: these are the first 40,000 of 300,009 characters." in read
    assert "[2] B – https://example.org/b" in read
    conversation = await Conversation.objects.aget(pk=turn.conversation_id)
    assert conversation.outside_content_at is not None


async def test_a_call_waits_for_a_person_and_the_answer_goes_on(turn: Accepted) -> None:
    writes = CountingTool("send", effect="writes", approval="ask")
    policy = OpenPolicy()
    model = ScriptedModel(calls(("a", "send", {"to": "Bob"}), text="I shall send it."), says("Sent."))
    await worker_with(writes, policy=policy).write(turn, model)
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, call.status, writes.began) == ("waiting", "I shall send it.", "waiting", [])
    snapshot = await read_snapshot(turn.conversation_id)
    shown = snapshot.messages[-1]["run"]
    assert [step["kind"] for step in shown["steps"]] == ["model", "tool", "approval"]
    assert shown["kept"] == {"text": 16, "reasoning": 0}
    await in_db(decide, turn.run_id)
    await worker_with(writes, policy=policy).write(turn, model)
    run, _, made = await in_db(rows, turn.run_id)
    [call] = made
    assert (run.status, run.attempt, run.message.text) == ("done", 2, "I shall send it.\n\nSent.")
    assert (call.status, writes.done) == ("ok", [call.pk])
    assert len(model.asked) == 2


async def test_the_model_reads_that_a_call_was_denied(turn: Accepted) -> None:
    writes = CountingTool("send", effect="writes", approval="ask")
    model = ScriptedModel(calls(("a", "send", {})), says("Then not."))
    await worker_with(writes).write(turn, model)
    await in_db(decide, turn.run_id, allow=False)
    await worker_with(writes).write(turn, model)
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, call.status, writes.began) == ("done", "Then not.", "denied", [])
    assert (model.asked[1][-1].content, model.asked[1][-1].failed) == (
        "The user did not allow this call, so it was not made.",
        True,
    )


async def test_thinking_goes_on_over_the_steps(turn: Accepted) -> None:
    first = [Chunk(reasoning="Hm."), *calls(("a", "look", {}))]
    second = [Chunk(reasoning="Aha."), *says("Yes.")]
    await worker_with(CountingTool()).write(turn, ScriptedModel(first, second))
    thought = [event for event in await logged(turn) if event["type"] == "run.reasoning"]
    assert [(event["step"], event["index"], event["text"]) for event in thought] == [(0, 0, "Hm."), (3, 3, "\n\nAha.")]
    run, _, _ = await in_db(rows, turn.run_id)
    assert run.message.text == "Yes."
    assert run.reasoning_chars == len("Hm.\n\nAha.")


async def test_nothing_more_to_say_after_the_calls_is_an_answer(turn: Accepted) -> None:
    silent = [Chunk(usage=TokenUsage(5, 0), finish_reason="stop")]
    await worker_with(CountingTool()).write(turn, ScriptedModel(calls(("a", "look", {}), text="Done so."), silent))
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text, run.error_code) == ("done", "Done so.", "")


async def test_a_question_of_a_tool_waits_and_the_call_is_made_again_with_the_answer(turn: Accepted) -> None:
    fields = {"which": {"type": "string"}}

    async def ask(arguments: Any, context: ToolContext) -> ToolResult:
        if not context.answers:
            raise QuestionAskedError(Question("Which one?", {"type": "object", "properties": fields}))
        return ToolResult(f"took {context.answers[0]['which']}")

    tool, policy = CountingTool("choose", effect="writes", work=ask), OpenPolicy()
    model = ScriptedModel(calls(("a", "choose", {})), says("Chosen."))
    await worker_with(tool, policy=policy).write(turn, model)
    [asked] = [one.question for one in policy.waits]
    assert asked is not None
    assert (asked["sentence"], asked["schema"]["properties"]) == ("Which one?", fields)
    await in_db(decide, turn.run_id, answer={"which": "blue"})
    await worker_with(tool, policy=policy).write(turn, model)
    run, _, [call] = await in_db(rows, turn.run_id)
    assert (run.status, call.status, call.output, call.tries) == ("done", "ok", "took blue", 2)
    assert set(tool.began) == {call.pk}


async def test_a_model_that_takes_no_tools_answers_without(turn: Accepted) -> None:
    class NoTools(ScriptedModel):
        def stream(self, model: str, turns: Any, **kwargs: Any) -> Any:
            if kwargs["options"].tools:
                self.options.append(kwargs["options"])
                raise ProviderError("upstream_no_tools", "This model takes no tools.")
            return super().stream(model, turns, **kwargs)

    model = NoTools([], says("Without."))
    await worker_with(CountingTool()).write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.message.text) == ("done", "Without.")


async def test_what_rules_mask_is_masked_over_all_steps(turn: Accepted) -> None:
    await in_db(add_rule, "mask", "secret", ["answered"])
    model = ScriptedModel(calls(("a", "look", {}), text="A secret"), says("No secret here."))
    await worker_with(CountingTool()).write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert "secret" not in run.message.text
    assert run.message.text.startswith("A ")
    assert run.message.text.endswith(" here.")
    text = "".join(event["text"] for event in await logged(turn) if event["type"] == "run.delta")
    assert text == run.message.text


async def test_a_blocked_answer_cancels_what_runs(turn: Accepted) -> None:
    await in_db(add_rule, "block", "forbidden", ["answered"])
    tool = CountingTool()
    model = ScriptedModel(calls(("a", "look", {}), text="This is forbidden"), says("Never."))
    await worker_with(tool).write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, tool.began) == ("stopped", "moderated", [])
