"""The Gemini API (v1beta), as its reference describes it."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from tests.fakes.dialects.script import ANSWERED_BY, MODEL, Exchange, Script
from tests.fakes.dialects.wire import Wire, require, sse

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
SCHEMA = {
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required",
    "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering",
    "default", "items", "minimum", "maximum",
}  # fmt: skip

REFUSALS: dict[str, tuple[int, str, str]] = {
    "bad_key": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "unknown_model": (
        404, "NOT_FOUND",
        "models/fake-large is not found for API version v1beta, or is not supported for generateContent.",
    ),
    "too_long": (
        400, "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "rate_limit": (
        429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.",
    ),
    "overload": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "no_stream": (400, "INVALID_ARGUMENT", "Streaming is not supported for this model."),
    "temperature": (400, "INVALID_ARGUMENT", "temperature is not supported by this model."),
    "no_images": (400, "INVALID_ARGUMENT", "Image input modality is not enabled for models/fake-large"),
    "image_too_large": (400, "INVALID_ARGUMENT", "Unable to process input image. Please retry or report."),
    "unknown_schema_field": (
        400, "INVALID_ARGUMENT",
        "Invalid JSON payload received. Unknown name \"responseJsonSchema\" at 'generation_config': Cannot find field.",
    ),
    "no_form": (400, "INVALID_ARGUMENT", "response_mime_type: application/json is not supported for this model."),
    "bad_schema": (400, "INVALID_ARGUMENT", "The specified schema is invalid: schema produces too many states."),
    "no_tools": (400, "INVALID_ARGUMENT", "Function calling is not enabled for models/fake-large"),
}  # fmt: skip


class GeminiWire(Wire):
    kind: ClassVar[str] = "gemini"
    prefix: ClassVar[str] = ""
    in_a_call: ClassVar[int] = 1
    finish_reasons: ClassVar[dict[str, str]] = {"stop": "STOP", "length": "MAX_TOKENS", "filtered": "SAFETY"}

    def is_chat(self, exchange: Exchange) -> bool:
        return exchange.method == "POST"

    def key_of(self, exchange: Exchange) -> str:
        require("key" not in exchange.query, "the key belongs in a header")
        return exchange.headers.get("x-goog-api-key", "")

    def check_chat(self, exchange: Exchange) -> bool:
        body = exchange.body
        streams = exchange.path == f"/v1beta/models/{MODEL}:streamGenerateContent"
        require(streams or exchange.path == f"/v1beta/models/{MODEL}:generateContent", f"path {exchange.path}")
        require(exchange.query.get("alt") == ("sse" if streams else None), "alt")
        known = {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
        require(set(body) <= known, f"Unknown name {set(body) - known}: Cannot find field.")
        config = body.get("generationConfig", {})
        known = {
            "temperature", "maxOutputTokens", "thinkingConfig", "responseMimeType", "responseJsonSchema",
            "responseSchema",
        }  # fmt: skip
        require(set(config) <= known, "Cannot find field in generationConfig.")
        require(
            config.get("responseMimeType") == "application/json"
            or not {"responseJsonSchema", "responseSchema"} & set(config),
            "a schema needs the type application/json",
        )
        require(
            all(one["role"] in ("user", "model") for one in body["contents"]), "Please use a valid role: user, model"
        )
        for tool in body.get("tools", ()):
            for declared in tool["functionDeclarations"]:
                require(NAME.fullmatch(declared["name"]), "Invalid function name.")
                if "parameters" in declared:
                    require(declared["parameters"]["properties"], "properties: should be non-empty for OBJECT type")
                    check_schema(declared["parameters"])
        before: list[dict[str, Any]] = []
        for one in body["contents"]:
            require(all(_is_part(part) for part in one["parts"]), "contents.parts must not be empty.")
            calls = [part["functionCall"]["name"] for part in before if "functionCall" in part]
            results = [part["functionResponse"]["name"] for part in one["parts"] if "functionResponse" in part]
            require(calls == results, "the number of function response parts is equal to the number of function calls")
            before = one["parts"]
        return streams

    def _usage(self, script: Script, written: int) -> dict[str, Any]:
        """Thoughts are apart from what was written."""
        counts = {
            "promptTokenCount": script.read, "cachedContentTokenCount": script.cached,
            "totalTokenCount": script.read + written,
        }  # fmt: skip
        if written:
            counts["candidatesTokenCount"] = written - script.thought
        if script.thought:
            counts["thoughtsTokenCount"] = script.thought
        return counts

    def _response(
        self, parts: list[dict[str, Any]], script: Script, finish: str = "", written: int = 0
    ) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return {
            "candidates": [candidate], "usageMetadata": self._usage(script, written), "modelVersion": ANSWERED_BY,
            "responseId": "r-1",
        }  # fmt: skip

    def events(self, script: Script) -> tuple[int, list[bytes]]:
        found = [sse(self._response([{"text": one, "thought": True}], script)) for one in script.reasoning]
        if script.finish == "filtered" and not script.pieces:
            blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": ANSWERED_BY}
            return 0, [sse({**blocked, "usageMetadata": self._usage(script, 0)})]
        lead = len(found)
        for number, piece in enumerate(script.pieces):
            if number == script.fail:
                return lead, [*found, sse(self.refusal("overload")[1])]
            blank = b": keep-alive\n\n" if script.keep_alives else b""
            written = number + 1 if script.written else 0
            found.append(blank + sse(self._response([{"text": piece}], script, written=written)))
        for number, one in enumerate(script.calls):
            signed = {"thoughtSignature": "EjQL"} if script.reasoning and not number else {}
            called = {"name": one.name, "args": json.loads(one.arguments)}
            found.append(sse(self._response([{"functionCall": called, **signed}], script)))
        finish = {**self.finish_reasons, "tools": "STOP"}[script.finish]
        parts: list[dict[str, Any]] = [{"text": "", "thoughtSignature": "EjQK"}]
        if script.finish == "tools":
            parts = [{"functionCall": {"name": "f", "args": {}}}]
        return lead, [*found, sse(self._response(parts, script, finish, script.written))]

    def whole(self, script: Script) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": one, "thought": True} for one in script.reasoning]
        parts.append({"text": script.text})
        parts += [{"functionCall": {"name": one.name, "args": json.loads(one.arguments)}} for one in script.calls]
        return self._response(parts, script, self.finish_reasons[script.finish], script.written)

    def refusal(self, name: str) -> tuple[int, dict[str, Any]]:
        status, kind, message = REFUSALS[name]
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}] if status == 429 else []
        return status, {"error": {"code": status, "message": message, "status": kind, "details": details}}

    def other(self, exchange: Exchange) -> object:
        require(exchange.path == "/v1beta/models", f"path {exchange.path}")
        first = {
            "name": f"models/{MODEL}", "version": "1", "displayName": "Fake Large", "inputTokenLimit": 200_000,
            "outputTokenLimit": 65_536, "supportedGenerationMethods": ["generateContent", "countTokens"],
            "thinking": True,
        }  # fmt: skip
        if "pageToken" not in exchange.query:
            return {"models": [first], "nextPageToken": "more"}
        embedding = {**first, "name": "models/fake-vectors", "supportedGenerationMethods": ["embedContent"]}
        return {"models": [{**first, "name": "models/fake-small", "thinking": False}, embedding]}


def check_schema(schema: dict[str, Any]) -> None:
    unknown = set(schema) - SCHEMA
    require(
        not unknown, f"Unknown name {unknown} at 'tools[0].function_declarations[0].parameters': Cannot find field."
    )
    require("type" in schema or "anyOf" in schema, "type")
    require(schema.get("type") != "array" or "items" in schema, "items: missing field.")
    require("enum" not in schema or schema["type"] == "string", "enum: only allowed for STRING type")
    require(set(schema.get("required", ())) <= set(schema.get("properties", {})), "required: property is not defined")
    inside = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    for one in [*inside, schema["items"]] if "items" in schema else inside:
        check_schema(one)


def _is_part(part: dict[str, Any]) -> bool:
    if "functionCall" in part:
        return isinstance(part["functionCall"]["args"], dict)
    if "functionResponse" in part:
        return isinstance(part["functionResponse"]["response"], dict)
    return bool(part.get("text") or part.get("inlineData"))
