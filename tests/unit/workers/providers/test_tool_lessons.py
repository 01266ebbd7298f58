"""What refusals of requests with tools teach about a model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.workers.providers.dialect_calls import wanted
from tests.unit.workers.providers.tool_turns import ASKED, CALL, CALLED, CLOCK, LOOP, RESULT
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.base import (
    ChatTurn,
    Options,
    ProviderError,
    Replay,
    RequestedCall,
    ToolImage,
    ToolSpec,
)
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.dialect import Dialect
from workers.providers.http.errors import error_from_answer
from workers.providers.http.learned import Learned, Lesson
from workers.providers.http.negotiation import Negotiation
from workers.providers.http.tool_lessons import find_tool_lesson
from workers.providers.model_facts import ModelFacts
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect

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
