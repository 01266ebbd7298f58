"""How tools, calls and results are written into requests: schemas, names, turns, and what refusals teach."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.fakes.dialects.gemini import check_schema
from tests.unit.workers.providers.dialect_calls import wanted
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.base import (
    ChatTurn,
    Options,
    ProviderError,
    Replay,
    RequestedCall,
    TokenUsage,
    ToolImage,
    ToolSpec,
)
from workers.providers.counting import ESTIMATE, Ratios, TokenCount
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.dialect import Dialect
from workers.providers.http.errors import error_from_answer
from workers.providers.http.learned import Learned, Lesson
from workers.providers.http.negotiation import Negotiation
from workers.providers.http.tool_lessons import find_tool_lesson
from workers.providers.http.tool_schemas import gemini_schema, object_schema
from workers.providers.http.tool_turns import arguments_text, plain_id, settle_turns, wire_name, wire_tools
from workers.providers.model_facts import ModelFacts
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect
from workers.providers.token_estimate import (
    ANSWER_TOKENS,
    TOOL_TOKENS,
    TURN_TOKENS,
    calls_text,
    estimate_tokens,
    estimate_turns,
    estimate_usage,
)

CLOCK = ToolSpec("current_time", "Tells the time.", {"type": "object", "properties": {"zone": {"type": "string"}}})
CALL = RequestedCall("call_1", "current_time", '{"zone": "UTC"}')
ASKED = ChatTurn("user", "What time is it?")
CALLED = ChatTurn("assistant", "", calls=(CALL,))
RESULT = ChatTurn("tool", "12:00", call_id="call_1", name="current_time")
LOOP = (ASKED, CALLED, RESULT)


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


# What servers say of a model without tools, with their status. Words as these servers have them.
NO_TOOLS: list[tuple[str, int, Any]] = [
    ("Ollama", 400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}),
    ("Ollama, compatible", 400, {"error": {"message": "registry.ollama.ai/library/phi3 does not support tools"}}),
    (
        "vLLM", 400,
        {"object": "error", "message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to'
         " be set", "type": "BadRequestError", "code": 400},
    ),
    ("llama.cpp", 500, {"error": {"code": 500, "message": "tools param requires --jinja flag",
                                  "type": "server_error"}}),
    ("llama.cpp, older", 500, {"error": {"code": 500, "message": "Unsupported param: tools", "type": "server_error"}}),
    ("OpenRouter", 404, {"error": {"message": "No endpoints found that support tool use. To learn more about provider"
                                   " routing, visit: https://openrouter.ai/docs/provider-routing", "code": 404}}),
    ("Groq", 400, {"error": {"message": "`tool calling` is not supported with this model",
                             "type": "invalid_request_error"}}),
    ("Mistral", 400, {"object": "error", "message": "Function calling is not enabled for this model", "code": 3051}),
    ("Gemini", 400, {"error": {"code": 400, "message": "Function calling is not enabled for models/gemma-3-27b-it",
                               "status": "INVALID_ARGUMENT"}}),
    ("OpenAI", 400, {"error": {"message": "Unsupported parameter: 'tools' is not supported with this model.",
                               "type": "invalid_request_error", "param": "tools", "code": "unsupported_parameter"}}),
    ("OpenAI, older", 400, {"error": {"message": "tools is not supported in this model.",
                                      "type": "invalid_request_error"}}),
    ("OpenAI, oldest", 400, {"error": {"message": "Unrecognized request argument supplied: tools"}}),
    ("DeepSeek", 400, {"error": {"message": "deepseek-reasoner does not support Function Calling"}}),
    ("Bedrock", 400, {"message": "This model doesn't support tool use."}),
    ("Anthropic", 400, {"error": {"type": "invalid_request_error",
                                  "message": "'claude-2.1' does not support tool use."}}),
    ("Anthropic, older", 400, {"error": {"message": "tools: Extra inputs are not permitted"}}),
    ("LiteLLM", 400, {"error": {"message": "litellm.UnsupportedParamsError: ollama does not support parameters: "
                                "['tools'], for model=phi3", "code": "400"}}),
    ("Together", 400, {"error": {"message": "Function calling is not supported for this model"}}),
    ("Perplexity", 400, {"error": {"message": "Tool calling is not supported for this model"}}),
    ("pydantic", 422, {"detail": [{"loc": ["body", "tools"], "msg": "Tools are not supported"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("who", "status", "body"), NO_TOOLS, ids=[who for who, _, _ in NO_TOOLS])
def test_a_model_without_tools(who: str, status: int, body: object) -> None:
    facts = ModelFacts()
    for turns in (LOOP[:1], LOOP):
        asked = negotiate(OpenAIDialect(), facts, turns, model=f"{who} {len(turns)}")
        with pytest.raises(ProviderError) as caught:
            asked.learn_from(error_from_answer(status, body))
        assert caught.value.code == "upstream_no_tools"
        assert not caught.value.retryable
        assert caught.value.said
        assert facts.refuses_tools("gpu", f"{who} {len(turns)}")


def negotiate(
    dialect: Dialect, facts: ModelFacts, turns: tuple[ChatTurn, ...] = LOOP, *, model: str = "m", **options: Any
) -> Negotiation:
    """A negotiation whose first request was sent."""
    found = Negotiation(dialect, Learned(facts, "gpu"), model, turns, Options(tools=(CLOCK,), **options))
    request = found.next_request()
    found.note_sent(dialect.body(request), stream=request.stream)
    return found


@pytest.mark.parametrize(
    "said",
    [
        "context length exceeded",
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
        "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        "Rate limit reached",
        "Internal server error: the tool of the trade is broken",
        "unexpected `tool_use_id` found in `tool_result` blocks",
    ],
)
def test_what_is_no_refusal_of_tools(said: str) -> None:
    failure = error_from_answer(400, {"error": {"message": said}})
    assert find_tool_lesson(failure, {"stream": True}, list(LOOP), told=False) is None


@pytest.mark.parametrize(
    ("said", "lesson"),
    [
        ("Cannot use tools with stream", Lesson("tool_stream")),
        ("This model doesn't support tool use in streaming mode.", Lesson("tool_stream")),
        ("tool_choice 'none' is not supported", Lesson("tool_choice")),
        ("Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", Lesson("call_ids")),
        ('Invalid JSON payload received. Unknown name "id" at \'contents[1].parts[0].function_call\': Cannot find it.',
         Lesson("call_ids")),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", Lesson("replay", once=True)),
        ("The encrypted content for item rs_1 could not be verified.", Lesson("replay", once=True)),
        ("property 'reasoning_content' is unsupported", Lesson("replay")),
        ("this model does not support image input", Lesson("images")),
        ("Invalid schema for function 'current_time': 'format' is not permitted", Lesson("tool_schemas", once=True)),
        ("Invalid JSON payload received. Unknown name \"x\" at 'tools[0].function_declarations[0].parameters'",
         Lesson("tool_schemas", once=True)),
        ("tools.0.custom.input_schema: JSON schema is invalid", Lesson("tool_schemas", once=True)),
        ("Only user and assistant roles are supported!", Lesson("tools")),
        ("unknown variant `tool`, expected one of `system`; role 'tool' is not supported", Lesson("tools")),
    ],
)  # fmt: skip
def test_what_else_a_refusal_teaches(said: str, lesson: Lesson) -> None:
    failure = error_from_answer(400, {"error": {"message": said}})
    shown = ChatTurn("tool", "A map.", call_id="call_1", name="current_time", images=(ToolImage("image/png", b"x"),))
    turns = [ASKED, ChatTurn("assistant", "", calls=(CALL,), replay=Replay("d", "m", [{"a": 1}])), shown]
    assert find_tool_lesson(failure, {"stream": True}, turns, told=True) == lesson


class TestWhatWasLearnt:
    """A request after each of these lessons."""

    def test_tools_are_left_out_and_calls_are_told(self) -> None:
        facts = ModelFacts()
        facts.note_refused("gpu", "m", "tools")
        body = OpenAIDialect().body(negotiate(OpenAIDialect(), facts).next_request())
        assert "tools" not in body
        assert [one["role"] for one in body["messages"]] == ["user"]

    def test_no_stream_with_tools_only(self) -> None:
        facts = ModelFacts()
        facts.note_refused("gpu", "m", "tool_stream")
        assert not negotiate(OpenAIDialect(), facts).next_request().stream
        plain = Negotiation(OpenAIDialect(), Learned(facts, "gpu"), "m", (ASKED,), Options())
        assert plain.next_request().stream

    def test_no_choice_of_tools(self) -> None:
        facts = ModelFacts()
        facts.note_refused("gpu", "m", "tool_choice")
        body = OpenAIDialect().body(negotiate(OpenAIDialect(), facts, call_no_more=True).next_request())
        assert "tool_choice" not in body
        assert body["messages"][0]["role"] == "system"
        body = OpenAIDialect().body(negotiate(OpenAIDialect(), facts, (ASKED,), call_no_more=True).next_request())
        assert "tools" not in body

    def test_short_ids(self) -> None:
        body = OpenAIDialect().body(wanted("call_ids", turns=LOOP, tools=(CLOCK,)))
        [call] = body["messages"][1]["tool_calls"]
        assert len(call["id"]) == 9
        assert body["messages"][2]["tool_call_id"] == call["id"]
        body = GeminiDialect().body(wanted("call_ids", turns=LOOP, tools=(CLOCK,)))
        assert "id" not in body["contents"][1]["parts"][0]["functionCall"]

    @pytest.mark.parametrize("dialect", [OpenAIDialect(), ResponsesDialect(), AnthropicDialect(), GeminiDialect()])
    def test_plain_schemas(self, dialect: Dialect) -> None:
        odd = ToolSpec("odd", "", {"properties": {"a": {"type": "string", "pattern": "x", "description": "An a."}}})
        body = json.dumps(dialect.body(wanted("tool_schemas", turns=LOOP, tools=(odd,)))["tools"])
        assert "pattern" not in body
        assert "An a." in body

    def test_images(self) -> None:
        shown = ChatTurn(
            "tool", "A map.", call_id="call_1", name="current_time", images=(ToolImage("image/png", b"x"),)
        )
        turns = (ASKED, CALLED, shown)
        for dialect in (OpenAIDialect(), ResponsesDialect(), AnthropicDialect(), GeminiDialect(), OllamaDialect()):
            assert "eA==" in json.dumps(dialect.body(wanted(turns=turns, tools=(CLOCK,))))
            body = json.dumps(dialect.body(wanted("images", turns=turns, tools=(CLOCK,))))
            assert "eA==" not in body
            assert "cannot be shown" in body

    def test_images_of_chat_completions_follow_all_results(self) -> None:
        """A result may hold only text there, and no other message may stand between a call and its result."""
        twice = ChatTurn("assistant", "", calls=(RequestedCall("a", "look", "{}"), RequestedCall("b", "look", "{}")))
        image = (ToolImage("image/png", b"x"),)
        turns = (
            ASKED, twice, ChatTurn("tool", "", call_id="a", name="look", images=image),
            ChatTurn("tool", "None.", call_id="b", name="look"), ChatTurn("assistant", "I see."),
        )  # fmt: skip
        sent = OpenAIDialect().body(wanted(turns=turns, tools=(CLOCK,)))["messages"]
        assert [one["role"] for one in sent] == ["user", "assistant", "tool", "tool", "user", "assistant"]
        assert sent[2]["content"] == "(no output)"
        words, shown = sent[4]["content"]
        assert words == {"type": "text", "text": "[The image that look returned, not the user's words:]"}
        assert shown == {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
        sent = OpenAIDialect().body(wanted(turns=turns[:4], tools=(CLOCK,)))["messages"]
        assert sent[-1]["content"][1] == shown, "after the last result, too"

    def test_replay(self) -> None:
        facts = ModelFacts()
        replay = Replay("openai_chat", "m", [{"reasoning_content": "hm"}])
        turns = (ASKED, ChatTurn("assistant", "", calls=(CALL,), replay=replay), RESULT)
        assert "hm" in json.dumps(OpenAIDialect().body(negotiate(OpenAIDialect(), facts, turns).next_request()))
        facts.note_refused("gpu", "m", "replay")
        assert "hm" not in json.dumps(OpenAIDialect().body(negotiate(OpenAIDialect(), facts, turns).next_request()))

    def test_a_signature_that_gemini_misses(self) -> None:
        dialect = GeminiDialect()
        body = dialect.body(wanted(turns=LOOP, tools=(CLOCK,)))
        words = "function call is missing a thought_signature in functioncall parts."
        assert dialect.find_refused(words, dialect.fields(body)) == "thoughtSignature"
        parts = dialect.body(wanted("thoughtSignature", turns=LOOP, tools=(CLOCK,)))["contents"][1]["parts"]
        assert parts[0]["thoughtSignature"]

    def test_encrypted_reasoning_that_a_model_does_not_have(self) -> None:
        dialect = ResponsesDialect()
        body = dialect.body(wanted(turns=LOOP, tools=(CLOCK,)))
        assert dialect.find_refused("encrypted content is not supported with this model.", body) == "include"
        assert "include" not in dialect.body(wanted("include", turns=LOOP, tools=(CLOCK,)))

    def test_anthropic_does_not_think_on_without_its_thinking(self) -> None:
        """It refuses to go on with calls whose thinking is missing."""
        thought = Replay("anthropic", "m", [{"type": "thinking", "thinking": "hm", "signature": "s"}])
        for replay, thinks in ((thought, True), (None, False)):
            turns = (ASKED, ChatTurn("assistant", "", calls=(CALL,), replay=replay), RESULT)
            assert ("thinking" in AnthropicDialect().body(wanted(turns=turns, tools=(CLOCK,), effort="low"))) == thinks
        later = (*LOOP, ChatTurn("user", "And?"))
        assert "thinking" in AnthropicDialect().body(wanted(turns=later, tools=(CLOCK,), effort="low"))


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
