"""OpenAI's Responses API: how a request is written.

Source: OpenAI API reference, "Create a model response". Nothing is stored there (`store`), because the conversation is
kept here. Models are listed as for Chat Completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from workers.providers.base import Effort
from workers.providers.http.answer_forms import text_format
from workers.providers.http.dialect import Dialect, Target, Wanted
from workers.providers.http.json_values import Report, read_object
from workers.providers.http.learned import name_effort
from workers.providers.responses.reader import ResponseReader
from workers.providers.responses.tools import ENCRYPTED, choice_fields, function_tools, input_items


class ResponsesDialect(Dialect):
    """The Responses API."""

    kind: ClassVar[str] = "openai_responses"
    name: ClassVar[str] = "OpenAI Responses API"
    default_url: ClassVar[str] = "https://api.openai.com/v1"
    length_fields: ClassVar[tuple[str, ...]] = ("max_output_tokens",)

    def target(self, model: str, *, stream: bool) -> Target:
        return Target("responses")

    def body(self, wanted: Wanted) -> dict[str, Any]:
        turns = [turn for turn in wanted.turns if turn.role != "system"]
        body: dict[str, Any] = {
            "model": wanted.model,
            "input": [item for turn in turns for item in input_items(turn, wanted)],
            "stream": wanted.stream,
        }
        if wanted.tools:
            body["tools"] = function_tools(wanted)
            body |= choice_fields(wanted)
            if not wanted.refused("include"):
                body["include"] = [ENCRYPTED]
        if not wanted.refused("store"):
            body["store"] = False
        if wanted.system:
            body["instructions"] = wanted.system
        if wanted.temperature is not None:
            body["temperature"] = wanted.temperature
        if wanted.top_p is not None:
            body["top_p"] = wanted.top_p
        if wanted.max_tokens is not None and not wanted.refused("max_output_tokens"):
            body["max_output_tokens"] = wanted.max_tokens
        if wanted.form is not None:
            body["text"] = {"format": text_format(wanted.form)}
        reasoning = {} if wanted.refused("summary") else {"summary": "auto"}
        if wanted.effort is not None and not wanted.refuses_effort("effort"):
            reasoning["effort"] = wanted.effort
        if reasoning and not wanted.refused("reasoning"):
            body["reasoning"] = reasoning
        return body

    def asks_effort(self, effort: Effort, fields: Mapping[str, Any]) -> bool:
        return "effort" in read_object(fields.get("reasoning"))

    def find_refused(self, words: str, sent: Mapping[str, Any]) -> str | None:
        """A model that does not reason refuses the whole field; one whose summaries are not for all, only those."""
        if "'store'" in words and "store" in sent:
            return "store"
        if "include" in sent and ("encrypted content" in words or "include" in words):
            return "include"
        if "reasoning" not in words and "summar" not in words:
            return None
        parts = [name for name in ("summary", "effort") if name in read_object(sent.get("reasoning"))]
        named = [name for name in parts if name[:6] in words]
        if named == ["effort"]:
            effort = name_effort("effort", str(read_object(sent.get("reasoning"))["effort"]), words)
            if len(parts) > 1 or effort != "effort":
                return effort
        elif len(named) == 1 and len(parts) > 1:
            return named[0]
        return "reasoning" if parts else None

    def reader(self, secrets: tuple[str, ...], report: Report) -> ResponseReader:
        return ResponseReader(secrets=secrets, report=report)
