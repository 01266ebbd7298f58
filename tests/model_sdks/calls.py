"""A call of a tool and its result, through the vendors' own clients: what they read, and what they send back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anthropic
import ollama
import openai
from google import genai
from google.genai import types

from tests.fakes.dialects.script import KEY, MODEL, QUESTION, Call, Script
from tests.fakes.dialects.server import DialectServer

CALLS: Final = Script(pieces=("Let me look.",), calls=(Call(), Call(arguments='{"zone": "UTC"}', id="call_2")))
EXPECTED: Final = [("current_time", {"zone": "Europe/Berlin"}), ("current_time", {"zone": "UTC"})]
SCHEMA: Final[dict[str, Any]] = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
NAME: Final = "current_time"
ABOUT: Final = "Tells the time."
FOUND = list[tuple[str, Any]]


async def chat(server: DialectServer) -> FOUND:
    async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": QUESTION}]
        tools: Any = [{"type": "function", "function": {"name": NAME, "description": ABOUT, "parameters": SCHEMA}}]
        async with client.chat.completions.stream(model=MODEL, messages=messages, tools=tools) as stream:
            answer = (await stream.get_final_completion()).choices[0]
        assert answer.finish_reason == "tool_calls"
        calls: Any = answer.message.tool_calls
        sent = [
            {
                "id": one.id,
                "type": "function",
                "function": {"name": one.function.name, "arguments": one.function.arguments},
            }
            for one in calls
        ]
        messages.append({"role": "assistant", "content": answer.message.content, "tool_calls": sent})
        messages += [{"role": "tool", "tool_call_id": one.id, "content": "12:00"} for one in calls]
        await client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
    return [(one.function.name, json.loads(one.function.arguments)) for one in calls]


async def responses(server: DialectServer) -> FOUND:
    async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        asked: Any = {
            "model": MODEL, "store": False, "include": ["reasoning.encrypted_content"],
            "tools": [{"type": "function", "name": NAME, "description": ABOUT, "parameters": SCHEMA, "strict": False}],
        }  # fmt: skip
        items: Any = [{"type": "message", "role": "user", "content": QUESTION}]
        async with client.responses.stream(input=items, **asked) as stream:
            response = await stream.get_final_response()
        calls = [one for one in response.output if one.type == "function_call"]
        items += [
            {"type": one.type, "call_id": one.call_id, "name": one.name, "arguments": one.arguments} for one in calls
        ]
        items += [{"type": "function_call_output", "call_id": one.call_id, "output": "12:00"} for one in calls]
        await client.responses.create(input=items, **asked)
    return [(one.name, json.loads(one.arguments)) for one in calls]


async def messages(server: DialectServer) -> FOUND:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key=KEY, max_retries=0) as client:
        turns: Any = [{"role": "user", "content": QUESTION}]
        tools = [{"name": NAME, "description": ABOUT, "input_schema": SCHEMA}]
        asked: Any = {"model": MODEL, "max_tokens": 100, "tools": tools}
        async with client.messages.stream(messages=turns, **asked) as stream:
            answer = await stream.get_final_message()
        assert answer.stop_reason == "tool_use"
        calls = [block for block in answer.content if block.type == "tool_use"]
        content = [
            {"type": "tool_use", "id": one.id, "name": one.name, "input": one.input}
            if one.type == "tool_use" else {"type": "text", "text": "Let me look."}
            for one in answer.content
        ]  # fmt: skip
        results = [{"type": "tool_result", "tool_use_id": one.id, "content": "12:00"} for one in calls]
        turns += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
        await client.messages.create(messages=turns, **asked)
    return [(one.name, one.input) for one in calls]


async def gemini(server: DialectServer) -> FOUND:
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=server.url, api_version="v1beta")).aio
    declared: Any = {"name": NAME, "description": ABOUT, "parameters": SCHEMA}
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(**declared)])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    contents: Any = [types.Content(role="user", parts=[types.Part(text=QUESTION)])]
    parts: list[types.Part] = []
    async for one in await client.models.generate_content_stream(model=MODEL, contents=contents, config=config):
        for candidate in one.candidates or ():
            parts += (candidate.content.parts if candidate.content else None) or ()
    calls = [part.function_call for part in parts if part.function_call]
    results = [types.Part.from_function_response(name=str(one.name), response={"result": "12:00"}) for one in calls]
    said = [part for part in parts if part.function_call or part.text]
    contents += [types.Content(role="model", parts=said), types.Content(role="user", parts=results)]
    await client.models.generate_content(model=MODEL, contents=contents, config=config)
    return [(str(one.name), one.args) for one in calls]


async def native_ollama(server: DialectServer) -> FOUND:
    client = ollama.AsyncClient(host=server.url)
    turns: Any = [{"role": "user", "content": QUESTION}]
    tools: Any = [{"type": "function", "function": {"name": NAME, "description": ABOUT, "parameters": SCHEMA}}]
    calls: list[Any] = []
    async for one in await client.chat(model=MODEL, messages=turns, tools=tools, stream=True):
        calls += one.message.tool_calls or ()
    turns.append({"role": "assistant", "content": "", "tool_calls": calls})
    turns += [{"role": "tool", "tool_name": NAME, "content": "12:00"} for _ in calls]
    await client.chat(model=MODEL, messages=turns, tools=tools)
    return [(one.function.name, dict(one.function.arguments)) for one in calls]


async def calls_of(server: DialectServer, run: Callable[[DialectServer], Awaitable[FOUND]]) -> str:
    """What a client reads wrongly, or is told that it sends wrongly; empty: nothing."""
    server.play(CALLS)
    found = await run(server)
    return f"{found if found != EXPECTED else ''} {server.problems or ''}".strip()
