"""Anthropic's Messages API, as its reference describes it."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from tests.fakes.dialects.script import ANSWERED_BY, MODEL, Exchange, Script
from tests.fakes.dialects.wire import Wire, check_pairs, require, sse

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

REFUSALS: dict[str, tuple[int, str, str]] = {
    "bad_key": (401, "authentication_error", "invalid x-api-key"),
    "unknown_model": (404, "not_found_error", "model: fake-large"),
    "too_long": (400, "invalid_request_error", "prompt is too long: 212000 tokens > 200000 maximum"),
    "rate_limit": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "overload": (529, "overloaded_error", "Overloaded"),
    "no_stream": (400, "invalid_request_error", "streaming is not supported for this model"),
    "temperature": (400, "invalid_request_error", "temperature: Extra inputs are not permitted"),
    "no_images": (400, "invalid_request_error", "'fake-large' does not support image inputs."),
    "image_too_large": (
        400,
        "invalid_request_error",
        "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 5316852 bytes > 5242880 bytes",
    ),
    "no_form": (400, "invalid_request_error", "output_config.format: structured outputs are not supported"),
    "bad_schema": (400, "invalid_request_error", "output_config.format.schema: Invalid schema: minLength"),
    "no_tools": (400, "invalid_request_error", "'fake-large' does not support tool use."),
}


class AnthropicWire(Wire):
    kind: ClassVar[str] = "anthropic"
    prefix: ClassVar[str] = ""
    in_a_call: ClassVar[int] = 3
    finish_reasons: ClassVar[dict[str, str]] = {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal"}

    def is_chat(self, exchange: Exchange) -> bool:
        return exchange.path == "/v1/messages"

    def key_of(self, exchange: Exchange) -> str:
        require(exchange.headers.get("anthropic-version") in ("2023-06-01", "2026-10-21"), "anthropic-version")
        if exchange.headers["anthropic-version"] == "2026-10-21" and "authorization" in exchange.headers:
            return exchange.headers["authorization"].removeprefix("Bearer ")
        return exchange.headers.get("x-api-key", "")

    def check_chat(self, exchange: Exchange) -> bool:
        body = exchange.body
        known = {
            "model", "messages", "max_tokens", "stream", "system", "temperature", "thinking", "output_config", "tools",
            "tool_choice",
        }  # fmt: skip
        require(exchange.method == "POST" and body["model"] == MODEL, "model")
        require(set(body) <= known, f"Extra inputs are not permitted: {set(body) - known}")
        require(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: Field required")
        roles = [turn["role"] for turn in body["messages"]]
        require(
            roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2), "roles must alternate"
        )
        for tool in body.get("tools", ()):
            require(NAME.fullmatch(tool["name"]) and tool["input_schema"]["type"] == "object", "tools")
            require(not {"anyOf", "oneOf", "allOf", "$ref"} & set(tool["input_schema"]), "input_schema")
        require("tools" in body or "tool_choice" not in body, "tool_choice may only be specified while providing tools")
        blocks: list[list[dict[str, Any]]] = [[]]
        for turn in body["messages"]:
            blocks.append(_blocks_of(turn["content"]))
            calls = [block["id"] for block in blocks[-2] if block["type"] == "tool_use"]
            results = [block["type"] == "tool_result" for block in blocks[-1]]
            check_pairs(calls, [block["tool_use_id"] for block in blocks[-1] if block["type"] == "tool_result"])
            require(results == sorted(results, reverse=True), "tool_result blocks must come first")
            thought = [block["type"] for block in blocks[-1]]
            require("thinking" not in thought[1:] or thought[0] == "thinking", "thinking blocks come first")
        require("tools" in body or not any("_" in block["type"] for turn in blocks for block in turn), "define tools")
        require(0 <= body.get("temperature", 0) <= 1, "temperature: range: 0..1")
        form = body.get("output_config", {}).get("format", {"type": "json_schema", "schema": {}})
        require(set(form) == {"type", "schema"} and form["type"] == "json_schema", "output_config.format")
        require("thinking" not in body or "temperature" not in body, "temperature with thinking")
        return bool(body.get("stream"))

    def _usage(self, script: Script) -> dict[str, Any]:
        """The input that was read from the cache is apart."""
        return {
            "input_tokens": script.read - script.cached, "cache_read_input_tokens": script.cached,
            "cache_creation_input_tokens": 0,
        }  # fmt: skip

    def _written(self, script: Script) -> dict[str, Any]:
        return {"output_tokens": script.written, "output_tokens_details": {"thinking_tokens": script.thought}}

    def events(self, script: Script) -> tuple[int, list[bytes]]:
        message: dict[str, Any] = {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": ANSWERED_BY,
            "stop_reason": None, "stop_sequence": None, "usage": {**self._usage(script), "output_tokens": 1},
        }  # fmt: skip
        found = [sse({"type": "message_start", "message": message}, "message_start")]
        block = 0
        if script.reasoning:
            found.append(self._start(block, {"type": "thinking", "thinking": "", "signature": ""}))
            found += [self._delta(block, {"type": "thinking_delta", "thinking": one}) for one in script.reasoning]
            found += [self._delta(block, {"type": "signature_delta", "signature": "EqQB"}), self._stop(block)]
            found.append(self._start(block + 1, {"type": "redacted_thinking", "data": "EmwK"}))
            found.append(self._stop(block + 1))
            block += 2
        if script.finish == "tools":
            found.append(self._start(block, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}))
            found.append(self._delta(block, {"type": "input_json_delta", "partial_json": "{}"}))
        else:
            found.append(self._start(block, {"type": "text", "text": ""}))
        found.append(sse({"type": "ping"}, "ping"))
        lead = len(found)
        for number, piece in enumerate(script.pieces):
            if number == script.fail:
                error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
                return lead, [*found, sse(error, "error")]
            ping = sse({"type": "ping"}, "ping") * 2 if script.keep_alives else b""
            found.append(ping + self._delta(block, {"type": "text_delta", "text": piece}))
        reason = {**self.finish_reasons, "tools": "tool_use"}[script.finish]
        if script.calls and script.finish == "stop":
            reason = "tool_use"
        for one in script.calls:
            found.append(self._stop(block))
            block += 1
            found.append(self._start(block, {"type": "tool_use", "id": one.id, "name": one.name, "input": {}}))
            for piece in ("", one.arguments[:6], one.arguments[6:]):
                found.append(self._delta(block, {"type": "input_json_delta", "partial_json": piece}))
        delta = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}}
        found += [self._stop(block), sse({**delta, "usage": self._written(script)}, "message_delta")]
        return lead, [*found, sse({"type": "message_stop"}, "message_stop")]

    def _start(self, index: int, block: dict[str, Any]) -> bytes:
        return sse({"type": "content_block_start", "index": index, "content_block": block}, "content_block_start")

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return sse({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")

    def _stop(self, index: int) -> bytes:
        return sse({"type": "content_block_stop", "index": index}, "content_block_stop")

    def whole(self, script: Script) -> dict[str, Any]:
        thinking = [{"type": "thinking", "thinking": "".join(script.reasoning), "signature": "EqQB"}]
        calls = [
            {"type": "tool_use", "id": one.id, "name": one.name, "input": json.loads(one.arguments)}
            for one in script.calls
        ]
        reason = "tool_use" if calls else self.finish_reasons[script.finish]
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": ANSWERED_BY,
            "content": [*(thinking if script.reasoning else []), {"type": "text", "text": script.text}, *calls],
            "stop_reason": reason, "stop_sequence": None,
            "usage": {**self._usage(script), **self._written(script)},
        }  # fmt: skip

    def refusal(self, name: str) -> tuple[int, dict[str, Any]]:
        status, kind, message = REFUSALS[name]
        return status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req-77"}

    def other(self, exchange: Exchange) -> object:
        require(exchange.method == "GET" and exchange.path == "/v1/models", f"path {exchange.path}")
        first = {
            "type": "model", "id": MODEL, "display_name": "Fake Large", "created_at": "2026-11-01T00:00:00Z",
            "lifecycle": "active", "max_input_tokens": 200_000, "max_tokens": 4096,
            "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": True, "types": {}}},
        }  # fmt: skip
        if "after_id" in exchange.query:
            return {
                "data": [{**first, "id": "fake-small"}],
                "has_more": False,
                "first_id": "x",
                "last_id": "fake-small",
            }
        return {"data": [first], "has_more": True, "first_id": MODEL, "last_id": MODEL}


def _blocks_of(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        require(block["type"] != "text" or block["text"].strip(), "text content blocks must be non-empty")
        require(block["type"] != "tool_use" or isinstance(block["input"], dict), "input: should be a valid dictionary")
        require(block["type"] != "thinking" or block["signature"] == "EqQB", "Invalid `signature` in `thinking` block")
    return blocks
