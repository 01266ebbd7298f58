"""What rules withhold of tools' arguments and results is given to nobody, and is nowhere but in its case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from structlog.testing import capture_logs

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.conversations.snapshot import read_snapshot
from chat.models import Message, ModerationCase, Step, ToolCall, ToolFile
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.redis_contents import redis_contents
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import (
    CountingTool,
    OpenPolicy,
    ScriptedModel,
    calls,
    rows,
    says,
    worker_with,
)
from workers.generation.steps.screening import ARGUMENTS_WITHHELD, RESULT_WITHHELD
from workers.providers.base import Chunk, Replay, TokenUsage
from workers.tools.base import MadeFile, Question, QuestionAskedError, Source, ToolContext, ToolError, ToolResult

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]

BAD = "Xylophone"
CASES = ("chat_moderationcase", "chat_moderationrule")


def stored() -> str:
    """All rows of the database but the rules and cases."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if model._meta.db_table not in CASES:
                cursor.execute(f'SELECT row_to_json(t)::text FROM "{model._meta.db_table}" t')  # noqa: S608 -- our tables
                found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


async def check_nowhere(turn: Accepted, model: ScriptedModel, logs: list[Any]) -> None:
    """`BAD` is in no row, no key of Redis, no snapshot, no log, and was not sent to the model."""
    assert BAD not in await in_db(stored)
    assert BAD.encode().hex() not in await in_db(stored)  # a file's bytes
    assert BAD not in str(redis_contents())
    assert BAD not in str(model.asked)
    assert BAD not in str(logs)
    assert BAD not in str(await read_snapshot(turn.conversation_id))


def returns(result: ToolResult | Exception) -> CountingTool:
    async def work(_arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        if isinstance(result, Exception):
            raise result
        return result

    return CountingTool(work=work)


async def write(turn: Accepted, tool: CountingTool, model: ScriptedModel, policy: OpenPolicy | None = None) -> None:
    with capture_logs() as logs:
        await worker_with(tool, policy=policy).write(turn, model)
    await check_nowhere(turn, model, logs)


ARGUMENTS = [
    {"query": f"a {BAD} b"},
    {"deep": [{"list": [f"{BAD}"]}]},
    {BAD: 1},
    f'{{"query": "a\\n{BAD}"}}',  # an escape before the word
    '{"query": "' + "".join(f"\\u{ord(letter):04x}" for letter in BAD) + '"}',
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=["text", "deep", "name", "newline", "escapes"])
async def test_masked_arguments_are_what_the_tool_gets(turn: Accepted, arguments: Any) -> None:
    await in_db(add_rule, "mask", BAD, ["answered"])
    tool, model = CountingTool(), ScriptedModel(calls(("a", "look", arguments)), says("Done."))
    await write(turn, tool, model)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, len(tool.given)) == ("done", 1)
    assert "***" in json.dumps(tool.given)
    assert json.loads(made[0].arguments) == tool.given[0]
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.target_id, case.action, case.direction) == ("call", made[0].pk, "mask", "answered")
    assert BAD in case.original


async def test_arguments_that_are_no_json_and_unknown_names_are_masked(turn: Accepted) -> None:
    await in_db(add_rule, "mask", BAD, ["answered"])
    model = ScriptedModel(calls(("a", "look", f'{{"query": "{BAD}'), ("b", BAD, {})), says("Done."))
    await write(turn, CountingTool(), model)
    _, _, made = await in_db(rows, turn.run_id)
    assert [(call.name, call.status) for call in made] == [("look", "error"), ("***", "error")]


async def test_a_number_that_is_personal_data_becomes_a_label(turn: Accepted) -> None:
    await in_db(add_rule, "mask", "", ["answered"], pii=["card"])
    tool, model = CountingTool(), ScriptedModel(calls(("a", "look", {"card": 4111111111111111})), says("Done."))
    await worker_with(tool).write(turn, model)
    assert "4111" not in json.dumps(tool.given)
    assert "4111" not in await in_db(stored)


async def test_a_flag_changes_nothing_and_opens_a_case(turn: Accepted) -> None:
    await in_db(add_rule, "flag", BAD, ["answered"])
    tool = CountingTool()
    await worker_with(tool).write(turn, ScriptedModel(calls(("a", "look", {"query": BAD})), says("Done.")))
    assert tool.given == [{"query": BAD}]
    assert sorted(await in_db(lambda: list(ModerationCase.objects.values_list("target", flat=True)))) == [
        "call", "result",
    ]  # fmt: skip


@pytest.mark.parametrize("action", ["hold", "block"])
async def test_withheld_arguments_stop_the_answer_and_are_not_sent(turn: Accepted, action: str) -> None:
    await in_db(add_rule, action, BAD, ["answered"], notice="No music.")
    tool = CountingTool()
    model = ScriptedModel(calls(("a", "look", {"query": BAD}), text="Let me look."), says("Never."))
    await write(turn, tool, model)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, tool.given) == ("stopped", "moderated", [])
    assert (run.message.text, run.error_message) == ("Let me look.", "Stopped by this site's rules: No music.")
    assert (made[0].status, made[0].output, made[0].arguments) == ("error", ARGUMENTS_WITHHELD, "")
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.action) == ("call", action)
    assert run.message.moderation == {"action": action, "reason": "No music.", "case_id": str(case.pk)}
    assert len(model.asked) == 1


async def test_a_withheld_answer_is_billed_once(turn: Accepted) -> None:
    await in_db(add_rule, "block", BAD, ["answered"])
    model = ScriptedModel(calls(("a", "look", {"query": BAD}), usage=TokenUsage(100, 10)), says("Never."))
    await worker_with(CountingTool()).write(turn, model)
    entries = await in_db(lambda: list(UsageEntry.objects.values_list("input_tokens", "output_tokens")))
    assert sum(one[0] for one in entries) == 100


RESULTS: list[Any] = [
    ToolResult(f"It is a {BAD}."),
    ToolResult('{"name": "a\\n' + BAD + '"}'),
    ToolResult("Found.", sources=[Source(f"The {BAD}", "https://example.org/", f"About a {BAD}")]),
    ToolResult("Found.", queries=[f"what is a {BAD}"]),
    ToolResult("Made.", files=[MadeFile(f"{BAD}.txt", "text/plain", b"Nothing.")]),
    ToolError(f"No {BAD} here.", detail=f"the server said {BAD}"),
    RuntimeError(f"crashed over {BAD}"),
]
RESULT_IDS = ["text", "json", "source", "query", "file name", "error", "crash"]


@pytest.mark.parametrize("result", RESULTS, ids=RESULT_IDS)
async def test_masked_results_are_what_the_model_reads(turn: Accepted, result: Any) -> None:
    await in_db(add_rule, "mask", BAD, ["answered"])
    model = ScriptedModel(calls(("a", "look", {})), says("Done."))
    await write(turn, returns(result), model)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, len(model.asked)) == ("done", 2)
    if isinstance(result, RuntimeError):
        return
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.target_id, case.action) == ("result", made[0].pk, "mask")
    assert BAD in case.original
    if isinstance(result, ToolResult) and BAD in result.text:
        assert "***" in made[0].output
        assert "***" in str(model.asked[1])


@pytest.mark.parametrize("result", RESULTS[:-1], ids=RESULT_IDS[:-1])
async def test_a_withheld_result_stops_the_answer(turn: Accepted, result: Any) -> None:
    await in_db(add_rule, "block", BAD, ["answered"])
    model = ScriptedModel(calls(("a", "look", {})), says("Never."))
    await write(turn, returns(result), model)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, len(model.asked)) == ("stopped", "moderated", 1)
    assert (made[0].output, made[0].sources, made[0].queries) == (RESULT_WITHHELD, [], [])
    assert made[0].status == ("error" if isinstance(result, ToolError) else "ok")
    assert run.message.moderation["action"] == "block"


async def test_a_worker_that_dies_before_the_end_does_not_let_it_go_on(turn: Accepted) -> None:
    await in_db(add_rule, "block", BAD, ["answered"])
    model = ScriptedModel(calls(("a", "look", {})), says("Never."))
    await worker_with(returns(RESULTS[0])).write(turn, model)

    def again() -> None:
        run = ToolCall.objects.get().run
        type(run).objects.filter(pk=run.pk).update(
            status="queued", lease_owner="", lease_expires_at=None, finished_at=None, error_code="", enqueued_at=None
        )
        Message.objects.filter(pk=run.message_id).update(status="streaming")

    await in_db(again)
    model = ScriptedModel(says("Never."))
    await worker_with(returns(RESULTS[0])).write(turn, model)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, model.asked) == ("stopped", "moderated", [])


async def test_a_file_with_text_has_the_rules_for_files(turn: Accepted) -> None:
    await in_db(add_rule, "mask", BAD, ["files"])
    made = ToolResult("Made.", files=[MadeFile("a.txt", "text/plain", f"A {BAD}.".encode()),
                                      MadeFile("b.bin", "application/octet-stream", b"\xff\x00\x01")])  # fmt: skip
    await write(turn, returns(made), ScriptedModel(calls(("a", "look", {})), says("Done.")))
    files = await in_db(lambda: {one.name: one for one in ToolFile.objects.all()})
    assert (bytes(files["a.txt"].content), files["a.txt"].size) == (b"A ***.", 6)
    assert bytes(files["b.bin"].content) == b"\xff\x00\x01"
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.target_id, case.original) == ("file", files["a.txt"].pk, f"A {BAD}.")
    assert case.direction == "files"


async def test_a_file_that_a_rule_blocks_is_not_stored(turn: Accepted) -> None:
    await in_db(add_rule, "block", BAD, ["files"])
    made = ToolResult("Made.", files=[MadeFile("a.txt", "text/plain", f"A {BAD}.".encode())])
    await write(turn, returns(made), ScriptedModel(calls(("a", "look", {})), says("Never.")))
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code) == ("stopped", "moderated")
    assert not await in_db(ToolFile.objects.exists)


async def test_what_make_file_is_given_has_the_rules_for_files(turn: Accepted) -> None:
    await in_db(add_rule, "mask", BAD, ["files"])
    tool = CountingTool(name="make_file")
    arguments = {"name": "a.txt", "content": f"A {BAD}."}
    await write(turn, tool, ScriptedModel(calls(("a", "make_file", arguments)), says("Done.")))
    assert tool.given == [{"name": "a.txt", "content": "A ***."}]


async def test_progress_is_masked(turn: Accepted) -> None:
    await in_db(add_rule, "block", BAD, ["answered"])

    async def work(_arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        context.report(f"Reading about {BAD}")
        return ToolResult("Nothing.")

    await write(turn, CountingTool(work=work), ScriptedModel(calls(("a", "look", {})), says("Done.")))


@pytest.mark.parametrize("place", ["sentence", "schema"])
@pytest.mark.parametrize("action", ["mask", "block"])
async def test_a_question_of_a_tool_is_screened(turn: Accepted, action: str, place: str) -> None:
    await in_db(add_rule, action, BAD, ["answered"])
    field = {"type": "string", "title": BAD if place == "schema" else "Answer"}
    asked = Question(f"Which {BAD}?" if place == "sentence" else "Which?", {"properties": {"a": field}})
    policy = OpenPolicy()
    await write(turn, returns(QuestionAskedError(asked)), ScriptedModel(calls(("a", "look", {})), says("No.")), policy)
    run, _, _ = await in_db(rows, turn.run_id)
    assert run.status == ("waiting" if action == "mask" else "stopped")
    assert ("***" in str(policy.waits)) == (action == "mask")
    assert (await in_db(ModerationCase.objects.get)).action == action


async def test_the_words_that_a_model_wants_back_are_not_kept_where_they_are_masked(turn: Accepted) -> None:
    await in_db(add_rule, "mask", BAD, ["answered"])
    replay = Replay("openai", "small", [{"type": "thinking", "thinking": f"A {BAD}"}])
    scripts: list[list[Any]] = [
        [*calls(("a", "look", {"query": BAD}))[:-1], _end(("a", "look", json.dumps({"query": BAD})), replay)],
        [f"A {BAD}. ", _end(("b", "look", "{}"), replay)],
    ]
    for first in scripts:
        turn = await in_db(say, await in_db(User.objects.get, email="alice@example.org"), "Again?")
        await announce(turn)
        await write(turn, CountingTool(), ScriptedModel(first, says("Done.")))
    assert set(await in_db(lambda: list(Step.objects.values_list("replay", flat=True)))) == {None}


def _end(call: tuple[str, str, str], replay: Replay) -> Chunk:
    [asked] = [one for one in calls(call) if isinstance(one, Chunk)]
    return Chunk(calls=asked.calls, usage=TokenUsage(1, 1), finish_reason="tool_calls", replay=replay)


async def test_what_a_rule_has_yet_to_read_is_an_answer(turn: Accepted) -> None:
    """What may still grow into a hit is not in the log before the answer ends: it had the note that there was none."""
    await in_db(add_rule, "mask", BAD, ["answered"])
    await worker_with(CountingTool()).write(turn, ScriptedModel(calls(("a", "look", {})), says(BAD[:4])))
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code) == ("done", "")
    message = await in_db(Message.objects.get, pk=run.message_id)
    assert message.text == BAD[:4]
