"""What each dialect does by itself: addresses, windows, thinking, and what it is taught by a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.workers.providers.dialect_calls import read, wanted
from workers.providers.anthropic.dialect import MAX_TOKENS, AnthropicDialect
from workers.providers.base import ChatTurn
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.dialect import Dialect, Target
from workers.providers.http.errors import error_from_answer
from workers.providers.http.learned import Lesson, find_lesson
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import AzureDialect, OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect


class TestAddresses:
    @pytest.mark.parametrize(
        ("dialect", "address", "url"),
        [
            (OpenAIDialect(), "", "https://api.openai.com/v1/chat/completions"),
            (ResponsesDialect(), "https://one.example/v1", "https://one.example/v1/responses"),
            (AnthropicDialect(), "", "https://api.anthropic.com/v1/messages"),
            (AnthropicDialect(), "https://proxy.example/anthropic", "https://proxy.example/anthropic/v1/messages"),
            (GeminiDialect(), "", "https://generativelanguage.googleapis.com/v1beta/models/a%20b:streamGenerateContent"),
            (GeminiDialect(), "https://p.example/g", "https://p.example/g/models/a%20b:streamGenerateContent"),
            (OllamaDialect(), "http://gpu:11434/v1", "http://gpu:11434/api/chat"),
            (OllamaDialect(), "http://gpu:11434/api", "http://gpu:11434/api/chat"),
            (AzureDialect(), "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/chat/completions"),
            (
                AzureDialect(), "https://r.openai.azure.com/openai/v1",
                "https://r.openai.azure.com/openai/v1/chat/completions",
            ),
            (
                AzureDialect(), "https://r.openai.azure.com/openai",
                "https://r.openai.azure.com/openai/deployments/a%20b/chat/completions",
            ),
            (
                AzureDialect(), "https://r.openai.azure.com/openai/deployments/d",
                "https://r.openai.azure.com/openai/deployments/d/chat/completions",
            ),
        ],
    )  # fmt: skip
    def test_where_answers_are_requested(self, dialect: Dialect, address: str, url: str) -> None:
        assert f"{dialect.base_url(address)}/{dialect.target('a b', stream=True).path}" == url

    def test_azures_version_can_be_another(self) -> None:
        dialect = AzureDialect()
        dialect.base_url("https://r.openai.azure.com/openai")
        assert dialect.default_query() == {"api-version": "2024-10-21"}
        dialect = AzureDialect()
        dialect.base_url("https://r.openai.azure.com/openai/v1")
        assert dialect.default_query() == {}


class TestAnthropic:
    def test_the_longest_answer_is_always_sent(self) -> None:
        assert AnthropicDialect().body(wanted())["max_tokens"] == MAX_TOKENS
        assert AnthropicDialect().body(wanted(max_tokens=7))["max_tokens"] == 7

    async def test_the_list_names_the_longest_answer(self) -> None:
        dialect = AnthropicDialect()

        async def fetch(_target: Target, _body: Mapping[str, Any] | None = None) -> bytes:
            return b'{"data": [{"id": "m", "max_tokens": 8192}, {"id": "big", "max_tokens": 128000}, 7, null]}'

        assert [model.id for model in await dialect.list_models(fetch)] == ["m", "big"]
        assert dialect.body(wanted())["max_tokens"] == 8192
        assert dialect.body(wanted(model="big"))["max_tokens"] == MAX_TOKENS

    @pytest.mark.parametrize(
        ("said", "lesson"),
        [
            (
                "max_tokens: 32000 > 4096, which is the maximum allowed number of output tokens for claude-3-haiku",
                Lesson("answer_length", 4096),
            ),
            (
                "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length",
                Lesson("answer_length", 10_000, once=True),
            ),
            ("prompt is too long: 212000 tokens > 200000 maximum", None),
        ],
    )
    def test_a_longest_answer_that_is_refused(self, said: str, lesson: Lesson | None) -> None:
        sent = AnthropicDialect().body(wanted())
        assert find_lesson(said, sent, has_system=False, length_fields=("max_tokens",)) == lesson

    def test_an_effort(self) -> None:
        body = AnthropicDialect().body(wanted(effort="high", temperature=0.5))
        assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
        assert body["output_config"] == {"effort": "high"}
        assert "temperature" not in body
        words = "adaptive thinking is not supported on this model"
        assert AnthropicDialect().find_refused(words, body) == "adaptive"
        body = AnthropicDialect().body(wanted("adaptive", effort="low"))
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
        assert AnthropicDialect().find_refused("this model does not support thinking", body) == "budget"
        assert "thinking" not in AnthropicDialect().body(wanted("adaptive", "budget", effort="low"))
        assert "thinking" not in AnthropicDialect().body(wanted("adaptive", effort="low", max_tokens=1000))

    def test_an_empty_turn_is_left_out(self) -> None:
        turns = (ChatTurn("user", "a"), ChatTurn("assistant", "\n"), ChatTurn("user", "b"))
        body = AnthropicDialect().body(wanted(turns=turns))
        assert body["messages"] == [{"role": "user", "content": "a\n\nb"}]

    def test_odd_events_cost_nothing_and_are_reported(self) -> None:
        events = (
            {"type": "message_start", "message": {"model": 7, "usage": []}},
            {"type": "future_event"},
            {"type": "content_block_delta", "delta": {"type": "future_delta"}},
            {"type": "content_block_delta", "index": "x", "delta": {"type": "text_delta", "text": "a"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "b", "thinking": 0}},
            b"keep-alive", b"null", b"7",
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": "3"}},
            {"type": "message_stop"},
        )  # fmt: skip
        reader, chunks, reported = read(AnthropicDialect(), *events)
        assert "".join(chunk.text for chunk in chunks) == "ab"
        assert reader.failure is None
        assert reader.usage is not None
        assert reader.usage.output_tokens == 3
        assert {"event", "no_json", "no_object"} <= set(reported)


class TestGemini:
    def test_thoughts_are_asked_of_models_that_think(self) -> None:
        dialect = GeminiDialect()
        assert "generationConfig" not in dialect.body(wanted())
        assert dialect._read({"name": "models/m", "thinking": True}) is not None
        config = dialect.body(wanted())["generationConfig"]["thinkingConfig"]
        assert config == {"includeThoughts": True}
        assert "generationConfig" not in dialect.body(wanted("thinkingConfig"))

    @pytest.mark.parametrize(
        ("refused", "config", "next_refused"),
        [
            ((), {"includeThoughts": True, "thinkingLevel": "low"}, "thinkingLevel"),
            (("thinkingLevel",), {"includeThoughts": True, "thinkingBudget": 1024}, "thinkingBudget"),
            (("thinkingLevel", "thinkingBudget"), {"includeThoughts": True}, "thinkingConfig"),
        ],
    )
    def test_an_effort(self, refused: tuple[str, ...], config: dict[str, Any], next_refused: str) -> None:
        body = GeminiDialect().body(wanted(*refused, effort="low"))
        assert body["generationConfig"]["thinkingConfig"] == config
        words = "thinking level is not supported for this model."
        assert GeminiDialect().find_refused(words, GeminiDialect().fields(body)) == next_refused

    def test_an_array_of_responses(self) -> None:
        reader = GeminiDialect().reader((), lambda _kind, _found: None)
        part = {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}
        chunks = reader.feed(json.dumps([part, part]).encode()) + reader.end()
        assert "".join(chunk.text for chunk in chunks) == "aa"

    def test_a_stream_without_an_end_is_cut(self) -> None:
        reader, chunks, _ = read(GeminiDialect(), {"candidates": [{"content": {"parts": [{"text": "a"}]}}]})
        assert [chunk.text for chunk in chunks] == ["a"]
        assert reader.failure is not None
        assert reader.failure.code == "upstream_cut"


class TestResponses:
    @pytest.mark.parametrize(
        ("said", "refused"),
        [
            ("unsupported parameter: 'reasoning.effort' is not supported with this model.", "effort"),
            ("your organization must be verified to generate reasoning summaries.", "summary"),
            ("reasoning is not supported by this model", "reasoning"),
            ("unknown parameter: 'store'.", "store"),
            ("invalid 'input'", None),
        ],
    )
    def test_what_is_refused(self, said: str, refused: str | None) -> None:
        dialect = ResponsesDialect()
        assert dialect.find_refused(said, dialect.body(wanted(effort="low"))) == refused

    def test_a_refused_field_is_left_out(self) -> None:
        body = ResponsesDialect().body(wanted("summary", effort="low"))
        assert body["reasoning"] == {"effort": "low"}
        assert "reasoning" not in ResponsesDialect().body(wanted("summary"))

    def test_summaries_are_apart(self) -> None:
        part = {"type": "response.reasoning_summary_part.added"}
        delta = {"type": "response.reasoning_summary_text.delta"}
        events = (part, {**delta, "delta": "one"}, part, {**delta, "delta": "two"})
        reader, chunks, _ = read(ResponsesDialect(), *events, end=False)
        assert "".join(chunk.reasoning for chunk in chunks) == "one\n\ntwo"
        assert reader.failure is None


class TestRouters:
    """What a router says beside the answer."""

    def test_the_cost_and_who_answered(self) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 4, "cost": 0.00012}
        events = (
            {"model": "openai/gpt-5-mini", "choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]},
            {"model": "other", "choices": [], "usage": usage},
        )
        reader, _, _ = read(OpenAIDialect(), *events)
        assert reader.model == "openai/gpt-5-mini"
        assert reader.usage is not None
        assert reader.usage.cost == Decimal("0.00012")

    @pytest.mark.parametrize("cost", [-1, True, [], "much", 1e300, float("nan"), None])
    def test_a_cost_that_cannot_be(self, cost: object) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 4, "cost": cost}
        reader, chunks, _ = read(OpenAIDialect(), {"choices": [{"delta": {"content": "a"}}], "usage": usage}, b"[DONE]")
        assert [chunk.text for chunk in chunks if chunk.text] == ["a"]
        assert reader.usage is not None
        assert reader.usage.cost is None


@pytest.mark.parametrize(
    "said",
    [
        "Your organization must be verified to stream this model.",
        "streaming is not supported for this model",
        "This model does not support streaming.",
        "'stream': must be False",
        "stream=true is not supported",
    ],
)
def test_a_refusal_to_stream(said: str) -> None:
    assert find_lesson(said, {"stream": True}, has_system=False) == Lesson("stream")
    assert find_lesson(said, {"stream": False}, has_system=False) is None


@pytest.mark.parametrize("said", ["unknown field stream_options", "the stream was interrupted", "upstream error"])
def test_what_is_no_refusal_to_stream(said: str) -> None:
    assert find_lesson(said, {"stream": True}, has_system=False) is None


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
         "upstream_quota"),
        (403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Your API key was leaked."}},
         "upstream_unauthorized"),
        (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
         "model_not_found"),
        (400, {"error": {"code": "content_filter", "message": "The response was filtered"}}, "upstream_refused"),
        (504, {"error": {"code": 504, "status": "DEADLINE_EXCEEDED", "message": "Too late"}}, "upstream_timeout"),
        (None, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "upstream_error"),
    ],
)  # fmt: skip
def test_errors_of_the_other_apis(status: int | None, body: object, code: str) -> None:
    assert error_from_answer(status, body).code == code
