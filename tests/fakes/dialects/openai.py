"""Chat Completions, also at Azure's addresses, and the Responses API, as OpenAI's and Azure's references have them."""

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


class ResponsesWire(Wire):
    kind: ClassVar[str] = "openai_responses"
    in_a_call: ClassVar[int] = 4
    finish_reasons: ClassVar[dict[str, str]] = {"stop": "stop", "length": "length", "filtered": "content_filter"}

    def is_chat(self, exchange: Exchange) -> bool:
        return exchange.path == "/v1/responses"

    key_of = ChatWire.key_of
    other = ChatWire.other
    refusal = ChatWire.refusal

    def check_chat(self, exchange: Exchange) -> bool:
        body = exchange.body
        known = {
            "model", "input", "stream", "store", "instructions", "temperature", "max_output_tokens", "reasoning",
            "tools", "tool_choice", "include", "text",
        }  # fmt: skip
        require(exchange.method == "POST" and body["model"] == MODEL, "model")
        require(set(body) <= known, f"unknown parameters {set(body) - known}")
        require(body["store"] is False, "store")
        form = {**body.get("text", {"format": {"type": "json_object"}})["format"]}
        if form.pop("type") == "json_schema":
            check_form(form)
        for tool in body.get("tools", ()):
            require(set(tool) == {"type", "name", "description", "parameters", "strict"}, "tools")
            check_function(tool)
        require(body.get("include", []) in ([], ["reasoning.encrypted_content"]), "include")
        items = [] if isinstance(body["input"], str) else body["input"]
        turns = [item for item in items if item["type"] == "message"]  # as llama.cpp's server has it
        require(all(turn["role"] in ("user", "assistant") for turn in turns), "roles")
        kinds = {"message", "function_call", "function_call_output", "reasoning"}
        require(all(item["type"] in kinds for item in items), "types")
        require(all(item["encrypted_content"] for item in items if item["type"] == "reasoning"), "not persisted")
        calls = [item["call_id"] for item in items if item["type"] == "function_call"]
        check_pairs(calls, [item["call_id"] for item in items if item["type"] == "function_call_output"])
        return bool(body.get("stream"))

    def events(self, script: Script) -> tuple[int, list[bytes]]:
        found: list[bytes] = []

        def add(kind: str, **fields: Any) -> None:
            found.append(sse({"type": kind, "sequence_number": len(found), **fields}, kind))

        begun = {**self._response(script, "in_progress"), "output": [], "usage": None}
        add("response.created", response=begun)
        add("response.in_progress", response=begun)
        place = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
        if script.reasoning:
            add("response.output_item.added", output_index=0, item={"id": "rs_1", "type": "reasoning", "summary": []})
            add("response.reasoning_summary_part.added", **place, part={"type": "summary_text", "text": ""})
            for one in script.reasoning:
                add("response.reasoning_summary_text.delta", **place, delta=one)
            add("response.reasoning_summary_text.done", **place, text="".join(script.reasoning))
            add("response.output_item.done", output_index=0, item=self._output(script)[0])
        place = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
        item: dict[str, Any]
        if script.finish == "tools":
            item = {"id": "fc_1", "type": "function_call", "name": "f", "arguments": "", "call_id": "call_1"}
            add("response.output_item.added", output_index=1, item=item)
            add("response.function_call_arguments.delta", item_id="fc_1", output_index=1, delta="{}")
        else:
            item = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "status": "in_progress"}
            add("response.output_item.added", output_index=1, item=item)
            part = {"type": "output_text", "text": "", "annotations": []}
            add("response.content_part.added", **place, part=part)
        lead = len(found)
        for number, piece in enumerate(script.pieces):
            if number == script.fail:
                broken = {"code": "server_error", "message": "The model is overloaded."}
                add("response.failed", response={**begun, "status": "failed", "error": broken})
                return lead, found
            add("response.output_text.delta", **place, delta=piece, logprobs=[])
            if script.keep_alives:
                found[-1] = b": keep-alive\n\n" + sse({"type": "keepalive", "sequence_number": 9}) + found[-1]
        add("response.output_text.done", **place, text=script.text, logprobs=[])
        if script.finish != "tools":
            add("response.output_item.done", output_index=1, item=self._output(script)[1])
        for index, item in enumerate(self._calls(script), start=2):
            at = {"item_id": item["id"], "output_index": index}
            add(
                "response.output_item.added",
                output_index=index,
                item={**item, "arguments": "", "status": "in_progress"},
            )
            for piece in (item["arguments"][:6], item["arguments"][6:]):
                add("response.function_call_arguments.delta", **at, delta=piece)
            add("response.function_call_arguments.done", **at, arguments=item["arguments"], name=item["name"])
            add("response.output_item.done", output_index=index, item=item)
        status = "completed" if script.finish in ("stop", "tools") else "incomplete"
        add(f"response.{status}", response=self._response(script, status))
        return lead, found

    def _calls(self, script: Script) -> list[dict[str, Any]]:
        return [
            {
                "id": f"fc_{number}", "type": "function_call", "status": "completed", "call_id": one.id,
                "name": one.name, "arguments": one.arguments,
            }
            for number, one in enumerate(script.calls)
        ]  # fmt: skip

    def _output(self, script: Script) -> list[dict[str, Any]]:
        content = [{"type": "output_text", "text": script.text, "annotations": []}]
        summary = [{"type": "summary_text", "text": "".join(script.reasoning)}]
        return [
            {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "gAAAAB", "status": None},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content},
            *self._calls(script),
        ]  # fmt: skip

    def _response(self, script: Script, status: str) -> dict[str, Any]:
        why = {"length": "max_output_tokens", "filtered": "content_filter"}.get(script.finish)
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": ANSWERED_BY,
            "error": None, "incomplete_details": {"reason": why} if why and status == "incomplete" else None,
            "instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0,
            "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "output": self._output(script),
            "usage": {
                "input_tokens": script.read, "input_tokens_details": {"cached_tokens": script.cached},
                "output_tokens": script.written, "output_tokens_details": {"reasoning_tokens": script.thought},
                "total_tokens": script.read + script.written,
            },
        }  # fmt: skip

    def whole(self, script: Script) -> dict[str, Any]:
        return self._response(script, "completed" if script.finish == "stop" else "incomplete")
