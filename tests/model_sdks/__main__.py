"""`python -m tests.model_sdks`: the clients that OpenAI, Anthropic, Google and Ollama publish talk to the fake servers.

Our clients are tested against servers written here, so both could share a misunderstanding. These clients know what
the vendors meant: they must read the same text, reasoning, usage, end and calls of tools, streamed and whole, and the
same errors, and may send results of calls back.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import anthropic
import ollama
import openai
from google import genai
from google.genai import errors, types

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.ollama import OllamaWire
from tests.fakes.dialects.openai import AzureDeploymentsWire, ChatWire
from tests.fakes.dialects.openai_responses import ResponsesWire
from tests.fakes.dialects.script import ANSWERED_BY, KEY, MODEL, QUESTION, Script
from tests.fakes.dialects.server import DialectServer
from tests.model_sdks import calls

SCRIPT: Final = Script(reasoning=("think ", "more "), thought=2, keep_alives=True)
READ = tuple[str, str, str, int, int]  # text, reasoning, model, tokens read, tokens written


async def _chat(client: openai.AsyncOpenAI) -> list[READ]:
    text, reasoning, model, usage = "", "", "", None
    messages: Any = [{"role": "user", "content": QUESTION}]
    options: Any = {"include_usage": True}
    async for chunk in await client.chat.completions.create(
        model=MODEL, messages=messages, stream=True, stream_options=options
    ):
        type(chunk).model_validate(chunk.model_dump())
        model, usage = chunk.model, chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
    assert usage is not None
    whole = await client.chat.completions.create(model=MODEL, messages=messages)
    message: Any = whole.choices[0].message
    assert whole.usage is not None
    return [
        (text, reasoning, model, usage.prompt_tokens, usage.completion_tokens),
        (
            message.content, message.reasoning_content, whole.model, whole.usage.prompt_tokens,
            whole.usage.completion_tokens,
        ),
    ]  # fmt: skip


async def chat(server: DialectServer) -> list[READ]:
    async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        found = await _chat(client)
        server.play(Script(refuse="rate_limit"))
        await _refused(openai.RateLimitError, lambda: _chat(client))
        assert MODEL in [model.id async for model in client.models.list()]
    return found


async def azure(server: DialectServer) -> list[READ]:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=server.url.removesuffix("/openai"), api_key=KEY, api_version="2024-10-21", max_retries=0
    ) as client:
        return await _chat(client)


async def responses(server: DialectServer) -> list[READ]:
    async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        text, reasoning, final = "", "", None
        events: Any = await client.responses.create(model=MODEL, input=QUESTION, store=False, stream=True)
        async for event in events:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.reasoning_summary_text.delta":
                reasoning += event.delta
            elif event.type == "response.completed":
                final = event.response
        whole = await client.responses.create(model=MODEL, input=QUESTION, store=False)
        found = [(text, reasoning, final), (whole.output_text, whole.output[0].summary[0].text, whole)]  # type: ignore[union-attr]
        server.play(Script(refuse="bad_key"))
        await _refused(openai.AuthenticationError, lambda: client.responses.create(model=MODEL, input="", store=False))
    return [(said, why, one.model, one.usage.input_tokens, one.usage.output_tokens) for said, why, one in found]  # type: ignore[union-attr]


async def messages(server: DialectServer) -> list[READ]:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key=KEY, max_retries=0) as client:
        asked: Any = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
        async with client.messages.stream(**asked) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            streamed = await stream.get_final_message()
        found = []
        for one in (streamed, await client.messages.create(**asked)):
            said = "".join(block.text for block in one.content if block.type == "text")
            thought = "".join(block.thinking for block in one.content if block.type == "thinking")
            used = one.usage
            read = used.input_tokens + (used.cache_read_input_tokens or 0) + (used.cache_creation_input_tokens or 0)
            assert one.stop_reason == "end_turn"
            found.append((said, thought, str(one.model), read, used.output_tokens))
        assert text == found[0][0]
        server.play(Script(refuse="overload"))
        await _refused(anthropic.InternalServerError, lambda: client.messages.create(**asked))
        listed = [model.id async for model in client.models.list()]
        assert listed == [MODEL, "fake-small"], listed
    return found


async def gemini(server: DialectServer) -> list[READ]:
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=server.url, api_version="v1beta")).aio
    streamed = [one async for one in await client.models.generate_content_stream(model=MODEL, contents=QUESTION)]
    whole = await client.models.generate_content(model=MODEL, contents=QUESTION)
    found = []
    for answers in (streamed, [whole]):
        parts = [
            part
            for one in answers
            for candidate in one.candidates or ()
            for part in (candidate.content.parts if candidate.content else None) or ()
        ]
        said = "".join(part.text or "" for part in parts if not part.thought)
        thought = "".join(part.text or "" for part in parts if part.thought)
        used = answers[-1].usage_metadata
        assert used is not None
        written = (used.candidates_token_count or 0) + (used.thoughts_token_count or 0)
        assert (answers[-1].candidates or [])[0].finish_reason == types.FinishReason.STOP
        found.append((said, thought, answers[-1].model_version or "", used.prompt_token_count or 0, written))
    server.play(Script(refuse="unknown_model"))
    await _refused(errors.ClientError, lambda: client.models.generate_content(model=MODEL, contents=QUESTION))
    return found


async def native_ollama(server: DialectServer) -> list[READ]:
    client = ollama.AsyncClient(host=server.url)
    asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
    streamed = [one async for one in await client.chat(**asked, stream=True)]
    found = []
    for answers in (streamed, [await client.chat(**asked, stream=False)]):
        said = "".join(one.message.content or "" for one in answers)
        thought = "".join(one.message.thinking or "" for one in answers)
        last = answers[-1]
        assert (last.done, last.done_reason) == (True, "stop")
        found.append((said, thought, last.model or "", last.prompt_eval_count or 0, last.eval_count or 0))
    server.play(Script(refuse="unknown_model"))
    await _refused(ollama.ResponseError, lambda: client.chat(**asked))
    assert (await client.show(MODEL)).capabilities == ["completion", "thinking", "tools"]
    assert MODEL in [model.model for model in (await client.list()).models]
    return found


async def _refused(kind: type[Exception], ask: Callable[[], Awaitable[object]]) -> None:
    try:
        await ask()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


async def main() -> int:
    expected = (SCRIPT.text, "think more ", ANSWERED_BY, SCRIPT.read, SCRIPT.written)
    cases = (
        ("openai, chat completions", ChatWire(), chat),
        ("openai, Azure", AzureDeploymentsWire(), azure),
        ("openai, responses", ResponsesWire(), responses),
        ("anthropic", AnthropicWire(), messages),
        ("google-genai", GeminiWire(), gemini),
        ("ollama", OllamaWire(), native_ollama),
    )
    failed = 0
    callers = {
        "openai, chat completions": calls.chat, "openai, responses": calls.responses, "anthropic": calls.messages,
        "google-genai": calls.gemini, "ollama": calls.native_ollama,
    }  # fmt: skip
    for name, wire, run in cases:
        with DialectServer(wire) as server:
            # The clients of Google and Ollama cannot read comments and blank lines.
            server.script = replace(SCRIPT, keep_alives=wire.kind not in ("gemini", "ollama"))
            found = await run(server)
            if caller := callers.get(name):
                wrong_calls = await calls.calls_of(server, caller)
                failed += bool(wrong_calls)
                print(f"{name}, calls: {wrong_calls or 'ok'}")
        wrong = [one for one in found if one != expected]
        failed += bool(wrong or server.problems)
        print(f"{name}: {'ok' if not wrong and not server.problems else f'{wrong} {server.problems}'}")
    return failed


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
