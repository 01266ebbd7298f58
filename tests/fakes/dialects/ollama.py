"""Ollama's own API, as docs/api.md in its repository describes it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from tests.fakes.dialects.script import ANSWERED_BY, KEY, MODEL, Call, Exchange, Script
from tests.fakes.dialects.wire import Wire, require, to_json

REFUSALS: dict[str, tuple[int, str]] = {
    "bad_key": (401, "unauthorized"),
    "unknown_model": (404, "model 'fake-large' not found"),
    "too_long": (400, "the input length exceeds the context length"),
    "rate_limit": (429, "too many requests"),
    "overload": (503, "server busy, please try again.  maximum pending requests exceeded"),
    "no_stream": (400, "streaming is not supported"),
    "temperature": (400, "invalid option provided: temperature"),
    "no_images": (500, "this model is missing data required for image input"),
    "image_too_large": (500, "failed to process inputs: image: failed to decode image"),
    "no_form": (400, "invalid format: this model cannot be constrained"),
    "bad_schema": (500, "failed to load grammar: invalid JSON schema in format"),
    "no_tools": (400, "registry.ollama.ai/library/fake-large:latest does not support tools"),
}


class OllamaWire(Wire):
    kind: ClassVar[str] = "ollama"
    prefix: ClassVar[str] = ""
    in_a_call: ClassVar[int] = 1
    stream_type: ClassVar[str] = "application/x-ndjson"
    counts_parts: ClassVar[bool] = False
    finish_reasons: ClassVar[dict[str, str]] = {"stop": "stop", "length": "length", "filtered": "content_filter"}

    def __init__(self) -> None:
        self.loaded = {MODEL: 16_384}  # the models in memory, with their contexts

    def is_chat(self, exchange: Exchange) -> bool:
        return exchange.path == "/api/chat"

    def key_of(self, exchange: Exchange) -> str:
        return exchange.headers.get("authorization", f"Bearer {KEY}").removeprefix("Bearer ")

    def check_chat(self, exchange: Exchange) -> bool:
        body = exchange.body
        known = {"model", "messages", "stream", "options", "think", "keep_alive", "format", "tools"}
        require(exchange.method == "POST" and body["model"] == MODEL, "model")
        require(set(body) <= known, f"unknown fields {set(body) - known}")
        require(set(body.get("options", {})) <= {"temperature", "num_predict", "num_ctx"}, "invalid option provided")
        for message in body["messages"]:
            fields = {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}
            require(set(message) <= fields, "messages")
            require(message["role"] != "tool" or message["tool_name"], "tool_name")
            arguments = [call["function"]["arguments"] for call in message.get("tool_calls", ())]
            require(all(isinstance(one, dict) for one in arguments), "cannot unmarshal string into arguments")
        for tool in body.get("tools", ()):
            require(tool["function"]["parameters"]["type"] == "object", "tools")
        return bool(body.get("stream", True))

    def _line(self, message: dict[str, Any], **more: Any) -> dict[str, Any]:
        head = {"model": ANSWERED_BY, "created_at": "2026-11-27T09:00:00.000000Z"}
        return {**head, "message": {"role": "assistant", "content": "", **message}, "done": False, **more}

    @staticmethod
    def _call(call: Call) -> dict[str, Any]:
        return {"function": {"name": call.name, "arguments": json.loads(call.arguments)}}

    def _end(self, script: Script) -> dict[str, Any]:
        reason = {**self.finish_reasons, "tools": "stop"}[script.finish]
        return {
            "done": True, "done_reason": reason, "total_duration": 5, "load_duration": 1, "eval_duration": 2,
            "prompt_eval_count": script.read, "prompt_eval_duration": 1, "eval_count": script.written,
        }  # fmt: skip

    def events(self, script: Script) -> tuple[int, list[bytes]]:
        found = [self._line({"thinking": one}) for one in script.reasoning]
        lead = len(found)
        for number, piece in enumerate(script.pieces):
            if number == script.fail:
                return lead, [to_json(one) + b"\n" for one in (*found, {"error": "an error was encountered"})]
            found.append(self._line({"content": piece}))
        if script.finish == "tools":
            found.append(self._line({"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}))
        found += [self._line({"tool_calls": [self._call(one)]}) for one in script.calls]
        found.append(self._line({}, **self._end(script)))
        blank = b"\n\r\n" if script.keep_alives else b""
        return lead, [blank + to_json(one) + b"\n" for one in found]

    def whole(self, script: Script) -> dict[str, Any]:
        message: dict[str, Any] = {"content": script.text, "thinking": "".join(script.reasoning)}
        if script.calls:
            message["tool_calls"] = [self._call(one) for one in script.calls]
        return self._line(message, **self._end(script))

    def refusal(self, name: str) -> tuple[int, dict[str, Any]]:
        status, message = REFUSALS[name]
        return status, {"error": message}

    def other(self, exchange: Exchange) -> object:
        if exchange.path == "/api/tags":
            return {
                "models": [{"name": name, "model": name, "digest": f"sha-{name}"} for name in (MODEL, "fake-vectors")]
            }
        if exchange.path == "/api/ps":
            return {"models": [{"name": name, "context_length": tokens} for name, tokens in self.loaded.items()]}
        if exchange.path == "/api/version":
            return {"version": "0.30.1"}
        require(exchange.path == "/api/show" and exchange.method == "POST", f"path {exchange.path}")
        able = ["completion", "thinking", "tools"] if exchange.body["model"] == MODEL else ["embedding"]
        return {
            "capabilities": able, "parameters": "stop    \"<|im_end|>\"\nnum_ctx    8192", "template": "",
            "model_info": {"general.architecture": "fake", "fake.context_length": 131_072}, "details": {},
        }  # fmt: skip
