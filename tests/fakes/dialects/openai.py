"""Chat Completions, also at Azure's addresses, as OpenAI's and Azure's references have them."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from tests.fakes.dialects.script import ANSWERED_BY, MODEL, Exchange, Script
from tests.fakes.dialects.wire import Wire, check_pairs, require, sse

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

REFUSALS: dict[str, tuple[int, str, str, str]] = {  # status, type, code, message
    "bad_key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-fake**********4711."),
    "unknown_model": (404, "invalid_request_error", "model_not_found", "The model `fake-large` does not exist."),
    "too_long": (
        400, "invalid_request_error", "context_length_exceeded",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    "rate_limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached for fake-large."),
    "overload": (503, "server_error", "", "The server is currently overloaded with other requests."),
    "loading": (503, "unavailable_error", "", "Loading model"),  # llama.cpp's server
    "no_stream": (
        400, "invalid_request_error", "unsupported_value",
        "Your organization must be verified to stream this model.",
    ),
    "temperature": (400, "invalid_request_error", "unsupported_parameter", "Unsupported parameter: 'temperature'."),
    "no_images": (400, "invalid_request_error", "", "fake-large is not a multimodal model"),  # vLLM
    "image_too_large": (400, "invalid_request_error", "", "The image data exceeds the maximum size of 20 MB."),
    "no_form": (
        400, "invalid_request_error", "",
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    ),
    "no_logprobs": (400, "invalid_request_error", "", "This model does not support the 'logprobs' parameter."),
    "bad_schema": (
        400, "invalid_request_error", "",
        "Invalid schema for response_format 'town': In context=(), 'additionalProperties' is required to be false.",
    ),
    "no_tools": (
        400, "BadRequestError", "",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    ),  # vLLM
}  # fmt: skip


def error(name: str) -> tuple[int, dict[str, Any]]:
    status, kind, code, message = REFUSALS[name]
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code or None}}


def check_function(function: dict[str, Any]) -> None:
    require(NAME.fullmatch(function["name"]) and isinstance(function["description"], str), "name of a function")
    schema = function["parameters"]
    require(schema["type"] == "object" and isinstance(schema["properties"], dict), "Invalid schema for function")
    require(not {"$ref", "anyOf", "oneOf", "allOf", "enum", "not"} & set(schema), "Invalid schema for function")


def _probable(script: Script, *pieces: str) -> dict[str, Any] | None:
    """Each piece as a token, with an alternative."""
    if not script.logprobs:
        return None
    other = {"token": "other", "logprob": -2.5, "bytes": None}
    found = [{"token": one, "logprob": -0.5, "bytes": list(one.encode()), "top_logprobs": [other]} for one in pieces]
    return {"content": found, "refusal": None}


def check_form(form: dict[str, Any]) -> None:
    require(set(form) <= {"name", "schema", "strict", "description"}, "unknown fields of the schema")
    require(NAME.fullmatch(form["name"]) and isinstance(form["schema"], dict), "name and schema")


class ChatWire(Wire):
    kind: ClassVar[str] = "openai_chat"
    in_a_call: ClassVar[int] = 2
    finish_reasons: ClassVar[dict[str, str]] = {"stop": "stop", "length": "length", "filtered": "content_filter"}
    path: ClassVar[str] = "/v1/chat/completions"

    def is_chat(self, exchange: Exchange) -> bool:
        return exchange.path.endswith("/chat/completions")

    def key_of(self, exchange: Exchange) -> str:
        return exchange.headers.get("authorization", "").removeprefix("Bearer ")

    def check_chat(self, exchange: Exchange) -> bool:
        body = exchange.body
        require(exchange.method == "POST" and exchange.path == self.path, f"path {exchange.path}")
        require(body["model"] == MODEL and body["messages"], "model and messages")
        for tool in body.get("tools", ()):
            require(set(tool) == {"type", "function"} and tool["type"] == "function", "tools")
            check_function(tool["function"])
        require("tools" in body or "tool_choice" not in body, "tool_choice without tools")
        self.check_messages(body["messages"])
        require(body.get("stream") or "stream_options" not in body, "stream_options without stream")
        require("top_logprobs" not in body or body.get("logprobs") is True, "top_logprobs without logprobs")
        form = body.get("response_format", {"type": "json_object"})
        require(set(form) <= {"type", "json_schema"}, "response_format")
        if form["type"] == "json_schema":
            check_form(form["json_schema"])
        return bool(body.get("stream"))

    def check_messages(self, messages: list[dict[str, Any]]) -> None:
        calls: list[str] = []
        for place, turn in enumerate(messages):
            if turn["role"] == "tool":
                require(set(turn) == {"role", "content", "tool_call_id"} and turn["content"], "message of a tool")
                continue
            results = []
            for one in messages[place + 1 :]:
                if one["role"] != "tool":
                    break
                results.append(one["tool_call_id"])
            calls = [call["id"] for call in turn.get("tool_calls", ())]
            check_pairs(calls, results)
            known = {"role", "content", "tool_calls", "reasoning_content"} if calls else {"role", "content"}
            require(set(turn) <= known and (calls or turn["content"] is not None), "messages")
            for call in turn.get("tool_calls", ()):
                require(set(call) == {"id", "type", "function"} and call["type"] == "function", "tool_calls")
                require(isinstance(json.loads(call["function"]["arguments"]), dict), "arguments")

    def _chunk(
        self, delta: dict[str, Any], finish: str | None = None, logprobs: dict[str, Any] | None = None, **more: Any
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": ANSWERED_BY}
        return sse({**head, "choices": [choice], **more})

    def _usage(self, script: Script) -> dict[str, Any]:
        return {
            "prompt_tokens": script.read, "completion_tokens": script.written,
            "total_tokens": script.read + script.written, "prompt_tokens_details": {"cached_tokens": script.cached},
            "completion_tokens_details": {"reasoning_tokens": script.thought},
        }  # fmt: skip

    def events(self, script: Script) -> tuple[int, list[bytes]]:
        found = [self._chunk({"role": "assistant", "content": ""})]
        found += [self._chunk({"reasoning_content": one}) for one in script.reasoning]
        lead = len(found)
        for number, piece in enumerate(script.pieces):
            if number == script.fail:
                return lead, [*found, sse(error("overload")[1])]
            found.append(
                (b": keep-alive\n\n" if script.keep_alives else b"")
                + self._chunk({"content": piece}, logprobs=_probable(script, piece))
            )
        if script.finish == "tools":
            call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            found.append(self._chunk({"tool_calls": [call]}))
        for index, one in enumerate(script.calls):
            function = {"name": one.name, "arguments": ""}
            found.append(
                self._chunk({"tool_calls": [{"index": index, "id": one.id, "type": "function", "function": function}]})
            )
            for piece in (one.arguments[:6], one.arguments[6:]):
                found.append(self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
        reason = {**self.finish_reasons, "tools": "tool_calls"}[script.finish]
        found.append(self._chunk({}, "tool_calls" if script.calls and script.finish == "stop" else reason))
        found += [self._chunk({}, choices=[], usage=self._usage(script)), b"data: [DONE]\n\n"]
        return lead, found

    def whole(self, script: Script) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant", "content": script.text or None, "reasoning_content": "".join(script.reasoning),
        }  # fmt: skip
        if script.calls:
            message["tool_calls"] = [
                {"id": one.id, "type": "function", "function": {"name": one.name, "arguments": one.arguments}}
                for one in script.calls
            ]
        reason = "tool_calls" if script.calls else self.finish_reasons[script.finish]
        choice = {
            "index": 0, "message": message, "finish_reason": reason, "logprobs": _probable(script, *script.pieces),
        }  # fmt: skip
        return {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": ANSWERED_BY, "choices": [choice],
            "usage": self._usage(script),
        }  # fmt: skip

    def refusal(self, name: str) -> tuple[int, dict[str, Any]]:
        return error(name)

    def other(self, exchange: Exchange) -> object:
        require(exchange.method == "GET" and exchange.path.endswith("/models"), f"path {exchange.path}")
        entries = [{"id": name, "object": "model", "created": 1, "owned_by": "fake"} for name in (MODEL, "fake-embed")]
        return {"object": "list", "data": entries}


class AzureWire(ChatWire):
    """The v1 addresses."""

    kind: ClassVar[str] = "azure"
    prefix: ClassVar[str] = ""
    path: ClassVar[str] = "/openai/v1/chat/completions"

    def key_of(self, exchange: Exchange) -> str:
        return exchange.headers.get("api-key", "") if "authorization" not in exchange.headers else "both"


class AzureDeploymentsWire(AzureWire):
    """The addresses with a deployment and an api-version."""

    prefix: ClassVar[str] = "/openai"
    path: ClassVar[str] = f"/openai/deployments/{MODEL}/chat/completions"

    def answer(self, exchange: Exchange, script: Script) -> Any:
        require(exchange.query.get("api-version") == "2024-10-21", "api-version")
        return super().answer(exchange, script)
