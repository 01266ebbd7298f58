"""How tools, calls and results are written into requests: schemas, names, turns, and what refusals teach."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest

from tests.fakes.dialects.gemini import check_schema
from tests.unit.workers.providers.tool_turns import ASKED, CALL, CALLED, CLOCK, LOOP, RESULT
from workers.providers import counting
from workers.providers.base import (
    ChatTurn,
    Replay,
    RequestedCall,
    TokenUsage,
    ToolImage,
    ToolSpec,
)
from workers.providers.counting import ESTIMATE, Ratios, TokenCount
from workers.providers.http.tool_schemas import gemini_schema, object_schema
from workers.providers.http.tool_turns import arguments_text, plain_id, settle_turns, wire_name, wire_tools
from workers.providers.token_estimate import (
    ANSWER_TOKENS,
    TOOL_TOKENS,
    TURN_TOKENS,
    calls_text,
    estimate_tokens,
    estimate_turns,
    estimate_usage,
    tools_text,
)


class Where(msgspec.Struct):
    zone: str
    far: bool = False


class Parameters(msgspec.Struct):
    where: Where
    count: int | None = None


class TestSchemas:
    def test_references_are_put_in_place(self) -> None:
        schema = object_schema(msgspec.json.schema(Parameters))
        assert schema["properties"]["where"]["properties"]["zone"] == {"type": "string"}
        assert schema["required"] == ["where"]
        assert "$" not in json.dumps(schema)
        check_schema(gemini_schema(msgspec.json.schema(Parameters)))

    def test_the_schema_of_a_tool_is_made_once(self) -> None:
        parameters = msgspec.json.schema(Parameters)
        assert object_schema(parameters) is object_schema(parameters)
        assert object_schema(dict(parameters)) is not object_schema(parameters)
        assert object_schema(dict(parameters)) == object_schema(parameters)

    def test_a_schema_that_names_itself(self) -> None:
        tree: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#"}}}
        assert object_schema(tree)["properties"]["next"]["properties"]["next"] == {}
        check_schema(gemini_schema(tree))

    def test_alternatives_at_the_top(self) -> None:
        one = {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]}
        two = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
        schema = object_schema({"oneOf": [one, two]})
        assert schema == {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}

    @pytest.mark.parametrize(
        "parameters",
        [
            {}, {"type": "string"}, {"properties": 7}, {"$ref": "#/nowhere"}, {"$ref": "https://example.org/x.json"},
            {"required": ["gone"]}, {"anyOf": [None, 7]}, {"enum": [1]}, {"properties": {"a": True, "b": {"items": 7}}},
            {"anyOf": 7, "required": "a", "properties": {"a": {"anyOf": 7, "enum": 7, "format": [], "allOf": {}}}},
            {"properties": {"a": {"allOf": [{"properties": 7}, {"properties": {"b": {}}}], "type": [7]}}},
            {"properties": {"a": {"description": "\ud83d"}}},
            {"properties": {str(number): {"description": "x" * 200} for number in range(5000)}},
        ],
    )  # fmt: skip
    def test_a_schema_that_is_none(self, parameters: dict[str, Any]) -> None:
        schema = object_schema(parameters)
        assert schema["type"] == "object"
        assert isinstance(schema["properties"], dict)
        assert not {"$ref", "anyOf", "oneOf", "enum"} & set(schema)
        assert len(json.dumps(schema)) < 110_000
        check_schema(gemini_schema(parameters))
        check_schema(gemini_schema(parameters, plain=True))

    def test_references_that_grow_without_end(self) -> None:
        """Each names the next one ten times: all of them in place would be ten to the twentieth."""
        names = {f"d{n}": {"properties": {str(i): {"$ref": f"#/$defs/d{n + 1}"} for i in range(10)}} for n in range(20)}
        assert object_schema({"$ref": "#/$defs/d0", "$defs": names}) == {"type": "object", "properties": {}}

    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
            ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "integer", "nullable": True}),
            ({"const": "a"}, {"type": "string", "enum": ["a"]}),
            ({"enum": [1, 2]}, {"type": "number"}),
            ({"type": "integer", "enum": [1, 2]}, {"type": "integer"}),
            ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
            ({"type": "string", "format": "uri", "pattern": "x"}, {"type": "string", "pattern": "x"}),
            ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
            ({"type": "object", "additionalProperties": {"type": "string"}}, {"type": "object"}),
            ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, {"type": "string", "maxLength": 3}),
            (
                {"oneOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 1}]},
                {"anyOf": [{"type": "string"}, {"type": "number"}]},
            ),
        ],
    )
    def test_what_gemini_takes(self, given: dict[str, Any], found: dict[str, Any]) -> None:
        schema = gemini_schema({"type": "object", "properties": {"a": given}})
        assert schema["properties"]["a"] == found
        check_schema(schema)


class TestNames:
    @pytest.mark.parametrize("name", ["current_time", "a-b", "_x", "A" * 64])
    def test_what_every_api_takes_stays(self, name: str) -> None:
        assert wire_name(name) == name

    @pytest.mark.parametrize("name", ["", "a.b", "1st", "server/tool name", "Grüße", "x" * 65, "-x", "\ud83d"])
    def test_what_one_does_not_is_changed(self, name: str) -> None:
        found = wire_name(name)
        assert found.replace("_", "").replace("-", "").isalnum()
        assert found.isascii()
        assert not found[0].isdigit()
        assert len(found) <= 64
        assert found == wire_name(name)

    def test_two_that_differ_stay_two(self) -> None:
        assert len(wire_tools([ToolSpec(name, "", {}) for name in ("a.b", "a/b", "a_b", "a.b")])) == 3

    def test_ids(self) -> None:
        assert plain_id("call_1") == "call_1"
        assert plain_id("functions.get:0").startswith("call_")
        short = plain_id("call_1", length=9)
        assert len(short) == 9
        assert plain_id(short, length=9) == short


class TestTurns:
    def test_nothing_to_settle(self) -> None:
        turns = [ASKED, ChatTurn("assistant", "Noon.")]
        assert settle_turns(turns, offered=True) == turns

    def test_a_loop_stays_as_it_is(self) -> None:
        assert settle_turns(LOOP, offered=True) == list(LOOP)

    def test_without_tools_it_is_told(self) -> None:
        [turn] = settle_turns(LOOP, offered=False)
        told = '[The tool current_time was called with {"zone": "UTC"} and returned:]\n12:00'
        assert turn == ChatTurn("user", f"What time is it?\n\n{told}")

    def test_results_in_another_order_and_for_no_call(self) -> None:
        other = RequestedCall("call_2", "search", "{}")
        results = [ChatTurn("tool", "b", call_id="call_2", name="search"), RESULT]
        results.append(ChatTurn("tool", "c", call_id="call_9", name="search"))
        found = settle_turns([ASKED, ChatTurn("assistant", "", calls=(CALL, other)), *results], offered=True)
        assert [turn.call_id for turn in found] == ["", "", "call_1", "call_2", ""]
        assert found[-1].role == "user"
        assert found[-1].content.endswith("c")

    @pytest.mark.parametrize("arguments", ['{"a": 1}', "", "null", "[]", '{"a":', "NaN", '"\ud83d"'])
    def test_arguments_are_always_an_object(self, arguments: str) -> None:
        assert isinstance(json.loads(arguments_text(arguments)), dict)


class TestCounts:
    def test_calls_results_schemas_and_images_count(self) -> None:
        plain = ESTIMATE.turns([ASKED])
        called = ESTIMATE.turn(CALLED)
        assert called > ESTIMATE.turn(ChatTurn("assistant", "")) + 5
        assert ESTIMATE.turns(LOOP) == plain + called + ESTIMATE.turn(RESULT)
        assert ESTIMATE.turns([ASKED], [CLOCK]) > plain + 15
        image = ChatTurn("tool", "x", images=(ToolImage("image/png", b"x"),))
        assert ESTIMATE.turn(image) > 500
        assert estimate_turns(LOOP) == ESTIMATE.turns(LOOP)

    def test_reasoning_that_goes_back_counts_and_what_is_encrypted_does_not(self) -> None:
        parts = [{"type": "thinking", "thinking": "word " * 100, "signature": "x" * 5000}]
        details = [{"reasoning_details": [{"text": "word " * 100}, {"data": "x" * 5000}]}]
        for replay in (Replay("d", "m", parts), Replay("d", "m", details)):
            turn = ChatTurn("assistant", "", calls=(CALL,), replay=replay)
            assert 95 <= ESTIMATE.turn(turn) - ESTIMATE.turn(CALLED) <= 115

    def test_calls_are_output(self) -> None:
        usage = ESTIMATE.usage([ASKED], "", tools=[CLOCK], calls=[CALL])
        assert usage == estimate_usage([ASKED], "", tools=[CLOCK], calls=[CALL])
        assert usage.output_tokens == estimate_tokens(calls_text([CALL]))

    def test_factors_of_text_and_of_tools_are_learnt_apart(self) -> None:
        """An endpoint writes tools in half as many tokens as estimated; its tokens of text are twice the estimate."""
        tools = [ToolSpec(f"tool_{n}", "word " * 60, {"type": "object"}) for n in range(8)]
        described = ESTIMATE.tools(tools) - TOOL_TOKENS * len(tools)
        ratios, turns = Ratios(), [ChatTurn("user", "word " * 20)]
        for answers in range(1, 4):
            said = sum(estimate_tokens(turn.content) for turn in turns)
            fixed = ANSWER_TOKENS + TURN_TOKENS * len(turns) + TOOL_TOKENS * len(tools)
            assert ratios.note(turns, TokenUsage(fixed + 2 * said + described // 2, 5), tools), answers
            turns += [ChatTurn("assistant", "word " * 150), ChatTurn("user", "word " * 150)]
        found = ratios.factors()
        assert found == {"tools": pytest.approx(0.5, abs=0.1), "ascii": pytest.approx(2.0, abs=0.2)}
        count = TokenCount(found)
        assert count.tools(tools) == pytest.approx(TOOL_TOKENS * len(tools) + described / 2, rel=0.2)
        assert count.text("word " * 100) == pytest.approx(200, rel=0.1)

    def test_few_tools_beside_much_text(self) -> None:
        turns, small = [ChatTurn("user", "word " * 100)], ToolSpec("a", "word", {})
        ratios = Ratios()
        assert ratios.note(turns, TokenUsage(200 + ESTIMATE.tools([small]) + ANSWER_TOKENS + TURN_TOKENS, 5), [small])
        assert ratios.factors() == {"ascii": pytest.approx(1.95, abs=0.03)}

    def test_a_short_question_beside_known_tools_teaches_nothing(self) -> None:
        tool = ToolSpec("a", "word " * 60, {})
        ratios = Ratios({"tools": [1.0]})
        assert not ratios.note([ChatTurn("user", "word " * 20)], TokenUsage(150, 5), [tool])

    def test_images_teach_nothing(self) -> None:
        turns = [ChatTurn("tool", "word " * 100, images=(ToolImage("image/png", b"x"),))]
        assert not Ratios().note(turns, TokenUsage(600, 5))


def test_a_tool_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer offers the same ones."""
    size = estimate_tokens(tools_text([CLOCK]))
    assert ESTIMATE.tools([CLOCK]) == TOOL_TOKENS + size
    monkeypatch.setattr(counting, "estimate_tokens", lambda text: pytest.fail("counted again"))
    assert ESTIMATE.tools([CLOCK]) == TOOL_TOKENS + size
    assert TokenCount({"ascii": 1.5}).tools([CLOCK]) == TOOL_TOKENS + math.ceil(1.5 * size)
    assert TokenCount({"ascii": 1.5, "tools": 2.0}).tools([CLOCK]) == TOOL_TOKENS + 2 * size
