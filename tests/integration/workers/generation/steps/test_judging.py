"""What judges of answers withhold of tools' arguments and results is given to nobody and is only in its case."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.models import ModerationCase, Unjudged
from chat.models.moderation import Action, Category, DecisionKind, Direction
from chat.review.call_effects import of_call
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.judged_runs import ScriptedJudge, definition, finds, is_down, panel_of, places_with
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import CountingTool, ScriptedModel, calls, know_a_tool, rows, says, worker_with
from workers.generation.judge_shown import ShownJudge
from workers.generation.steps.judging import MOST_CHARS
from workers.generation.steps.screening import ARGUMENTS_WITHHELD, RESULT_WITHHELD
from workers.moderation.findings import UNCHECKED_ANSWER
from workers.tools.base import (
    MadeFile,
    Picture,
    Question,
    QuestionAskedError,
    Source,
    ToolContext,
    ToolError,
    ToolResult,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]

BAD = "Xylophone"
CASES = {"chat_moderationcase"}
PNG = b"\x89PNG\r\n\x1a\n" + BAD.encode()


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    await in_db(know_a_tool)
    turn = await in_db(say, alice, "What is it?")
    await announce(turn)
    return turn


def returns(result: ToolResult | Exception) -> CountingTool:
    async def work(_arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        if isinstance(result, Exception):
            raise result
        return result

    return CountingTool(work=work)


async def write(
    turn: Accepted, tool: CountingTool, model: ScriptedModel, judge: ScriptedJudge, action: Action = Action.BLOCK,
    *, closed: bool = False,
) -> None:  # fmt: skip
    worker = worker_with(tool)
    worker.more["judges"] = panel_of(judge, definition(action, Direction.ANSWERED, closed=closed, notice="No music."))
    await worker.write(turn, model)


async def test_harmless_calls_are_made_and_judged_once(turn: Accepted) -> None:
    judge, tool = ScriptedJudge(finds(BAD)), CountingTool()
    await write(turn, tool, ScriptedModel(calls(("a", "look", {"query": "flute"})), says("Done.")), judge)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, len(tool.given), await in_db(ModerationCase.objects.count)) == ("done", 1, 0)
    assert judge.texts == ['look\n{"query": "flute"}', 'seen {"query": "flute"}', "Done."]
    entries = await in_db(lambda: list(UsageEntry.objects.filter(purpose="moderation")))
    assert sum(entry.input_tokens for entry in entries) == 3 * 7


@pytest.mark.parametrize("action", [Action.HOLD, Action.BLOCK])
@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escapes"])
async def test_withheld_arguments_stop_the_answer_and_are_not_sent(
    turn: Accepted, action: Action, escaped: bool
) -> None:
    asked: Any = {"query": BAD}
    if escaped:
        asked = '{"query": "' + "".join(f"\\u{ord(letter):04x}" for letter in BAD) + '"}'
    tool, model = CountingTool(), ScriptedModel(calls(("a", "look", asked), text="Let me look."), says("Never."))
    await write(turn, tool, model, ScriptedJudge(finds(BAD)), action)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, tool.given, len(model.asked)) == ("stopped", "moderated", [], 1)
    assert run.error_message == "Stopped by this site's rules: No music."
    assert (made[0].status, made[0].output, made[0].arguments) == ("error", ARGUMENTS_WITHHELD, "")
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.target_id, case.action, case.origin) == ("call", made[0].pk, action, "judge")
    assert json.loads(case.original) == {"query": BAD}
    assert case.rules[0]["scores"] == {"hate": 0.9}
    assert run.message.moderation == {"action": action, "reason": "No music.", "case_id": str(case.pk)}
    assert await in_db(places_with, BAD) == CASES


RESULTS: list[Any] = [
    ToolResult(f"It is a {BAD}."),
    ToolResult(json.dumps({"name": "é " + BAD})),
    ToolResult("Found.", sources=[Source("Title", "https://example.org/", f"About a {BAD}")]),
    ToolResult("Found.", queries=[f"what is a {BAD}"]),
    ToolResult("Made.", files=[MadeFile("a.txt", "text/plain", f"A {BAD}.".encode())]),
    ToolError(f"No {BAD} here."),
    QuestionAskedError(Question(f"Which {BAD}?", {"type": "object", "properties": {"name": {"type": "string"}}})),
]
RESULT_IDS = ["text", "json", "source", "query", "file", "error", "question"]


@pytest.mark.parametrize("result", RESULTS, ids=RESULT_IDS)
async def test_a_withheld_result_is_read_by_nobody(turn: Accepted, result: Any) -> None:
    model = ScriptedModel(calls(("a", "look", {})), says("Never."))
    await write(turn, returns(result), model, ScriptedJudge(finds(BAD)))
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, len(model.asked)) == ("stopped", "moderated", 1)
    assert made[0].output == RESULT_WITHHELD
    case = await in_db(ModerationCase.objects.get)
    assert (case.target, case.action, case.origin) == ("result", "block", "judge")
    assert BAD in case.original
    assert await in_db(places_with, BAD) == CASES


async def test_a_flag_changes_nothing_and_opens_cases(turn: Accepted) -> None:
    tool, model = CountingTool(), ScriptedModel(calls(("a", "look", {"query": BAD})), says("Done."))
    await write(turn, tool, model, ScriptedJudge(finds(BAD)), Action.FLAG)
    run, _, _ = await in_db(rows, turn.run_id)
    assert (run.status, tool.given) == ("done", [{"query": BAD}])
    targets = await in_db(lambda: sorted(ModerationCase.objects.values_list("target", flat=True)))
    assert targets == ["call", "result"]


async def test_a_released_result_comes_back(turn: Accepted) -> None:
    model = ScriptedModel(calls(("a", "look", {})), says("Never."))
    source = Source("Title", "https://example.org/", "A passage")
    await write(turn, returns(ToolResult(f"A {BAD}.", sources=[source])), model, ScriptedJudge(finds(BAD)))
    case = await in_db(ModerationCase.objects.get)
    await in_db(lambda: of_call(case, DecisionKind.RELEASE))
    run, _, made = await in_db(rows, turn.run_id)
    assert (made[0].output, run.message.moderation) == (f"A {BAD}.", {})


async def test_judges_get_what_rules_have_masked(turn: Accepted) -> None:
    await in_db(add_rule, "mask", "secret", ["answered"])
    judge, model = ScriptedJudge(finds(BAD)), ScriptedModel(calls(("a", "look", {"q": "secret"})), says("Done."))
    await write(turn, returns(ToolResult(f"secret {BAD}")), model, judge)
    assert "secret" not in str(judge.texts)
    case = await in_db(ModerationCase.objects.get, target="result")
    assert (case.original, case.action, len(case.rules)) == (f"secret {BAD}", "block", 2)


async def test_long_results_are_judged_up_to_a_bound(turn: Accepted) -> None:
    judge, model = ScriptedJudge(), ScriptedModel(calls(("a", "look", {})), says("Done."))
    await write(turn, returns(ToolResult("word " * 40_000)), model, judge)
    assert MOST_CHARS <= sum(map(len, judge.texts)) < MOST_CHARS + 2_000
    assert judge.most_at_once <= 4


async def test_while_the_judge_is_away_calls_are_made_and_judged_later(turn: Accepted) -> None:
    judge, tool = ScriptedJudge(is_down), returns(ToolResult(f"A {BAD}."))
    worker = worker_with(tool)
    worker.more["judges"] = panel_of(judge, definition(Action.BLOCK, Direction.ANSWERED))
    await worker.write(turn, ScriptedModel(calls(("a", "look", {})), says("Done.")))
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, made[0].output) == ("done", f"A {BAD}.")
    assert await in_db(Unjudged.objects.count) == 1
    judge.finds = finds(BAD)
    assert worker.generation is not None
    await ShownJudge(worker.generation.services).judge()
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.message.text, made[0].output) == ("", "")
    assert await in_db(places_with, BAD) == set()


async def test_where_the_judge_has_to_be_asked_no_call_is_made_without_it(turn: Accepted) -> None:
    tool, model = CountingTool(), ScriptedModel(calls(("a", "look", {})), says("Never."))
    await write(turn, tool, model, ScriptedJudge(is_down), closed=True)
    run, _, made = await in_db(rows, turn.run_id)
    assert (run.status, run.error_code, tool.given) == ("stopped", "moderated", [])
    assert UNCHECKED_ANSWER in run.error_message
    assert made[0].output == ARGUMENTS_WITHHELD


@pytest.mark.parametrize("sees", [True, False])
async def test_pictures_are_judged_by_a_judge_that_reads_them(turn: Accepted, sees: bool) -> None:
    judge = ScriptedJudge()
    judge.sees = sees
    judge.finds_in_picture = lambda content: {Category.HATE: 0.9} if BAD.encode() in content else {}
    result = ToolResult("Here it is.", pictures=[Picture("image/png", PNG)])
    await write(turn, returns(result), ScriptedModel(calls(("a", "look", {})), says("Done.")), judge)
    run, _, made = await in_db(rows, turn.run_id)
    if sees:
        assert [one.content for one in judge.pictures] == [PNG]
        assert (run.status, made[0].output, await in_db(made[0].files.count)) == ("stopped", RESULT_WITHHELD, 0)
    else:
        assert (run.status, judge.pictures, await in_db(made[0].files.count)) == ("done", [], 1)


async def test_a_judge_of_files_reads_what_tools_make_and_nothing_else(turn: Accepted) -> None:
    judge = ScriptedJudge(finds(BAD))
    file = MadeFile("a.txt", "text/plain", f"A {BAD}.".encode())
    results = iter([ToolResult("One."), ToolResult("Made.", files=[file])])
    tool = CountingTool()
    tool.work = lambda _arguments, _context: _next(results)
    worker = worker_with(tool)
    worker.more["judges"] = panel_of(judge, definition(Action.BLOCK, Direction.FILES))
    await worker.write(turn, ScriptedModel(calls(("a", "look", {})), calls(("b", "look", {})), says("Done.")))
    run, _, made = await in_db(rows, turn.run_id)
    assert judge.texts == [f"a.txt\n\nA {BAD}."]
    assert (run.status, made[0].output, made[1].output) == ("stopped", "One.", RESULT_WITHHELD)
    assert await in_db(places_with, BAD) == CASES


async def _next(results: Iterator[ToolResult]) -> ToolResult:
    return next(results)
