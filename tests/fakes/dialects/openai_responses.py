"""The Responses API, as OpenAI's reference has it."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.fakes.dialects.openai import ChatWire, check_form, check_function
from tests.fakes.dialects.script import ANSWERED_BY, MODEL, Exchange, Script
from tests.fakes.dialects.wire import Wire, check_pairs, require, sse


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
