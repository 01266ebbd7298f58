"""The built-in demo model, which answers when no model is configured. Its answer says so in the first words.

Tools can be tried with it: it calls those that a message names, `[[call=current_time {}]]`, if they are offered, and
then says what they returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

from chat.catalog.offered_models import DEMO_LABEL, DEMO_MODEL
from workers.providers.base import DEFAULT, ChatTurn, Chunk, ListedModel, OnRequest, Options, RequestedCall
from workers.providers.http.calls import make_id
from workers.providers.token_estimate import estimate_usage

__all__ = ["DEMO_LABEL", "DEMO_MODEL", "DemoModel"]

FIRST_TOKEN_SECONDS: Final = 0.25
ECHO_CHARS: Final = 200
RESULT_CHARS: Final = 2000
_ASKED: Final = re.compile(r"\[\[\s*call=")
_CALL: Final = re.compile(r"\s*call=([\w.:/-]+)\s*")

ANSWER: Final = """\
**This is the built-in demo model.** No model is configured yet, so this text is always the same. You asked:

> {question}

To get real answers, connect a model. Any OpenAI-compatible API works:

| You have | Set |
|---|---|
| an OpenAI key | `OPENAI_API_KEY` |
| vLLM, llama.cpp, LM Studio or another server | `OPENAI_BASE_URL`, and `OPENAI_API_KEY` if it requires one |
| [Ollama](https://ollama.com) on this machine | nothing: it is found automatically |

Put the setting into the file `.env` and restart:

```sh
echo 'OPENAI_BASE_URL=http://127.0.0.1:8080/v1' >> .env
echo 'CHAT_MODELS=my-model' >> .env   # the first is the default; without it, all are offered
make up
```

Everything else already works. While this answer is being written you can

1. reload the page or open it on another device: the answer continues where it was,
2. press **Stop**: the text so far is kept,
3. edit your question or regenerate the answer, and switch between the versions.
"""


class DemoModel:
    """A `ChatModel` that needs no server and writes `tokens_per_second`."""

    def __init__(self, tokens_per_second: float) -> None:
        self.tokens_per_second = tokens_per_second

    async def open(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Does nothing."""

    async def models(self) -> list[str]:
        return [DEMO_MODEL]

    async def list_models(self) -> list[ListedModel]:
        return [ListedModel(DEMO_MODEL)]

    @contextlib.asynccontextmanager
    async def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        answer = self._write(turns, options, on_request)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _write(
        self, turns: Sequence[ChatTurn], options: Options, on_request: OnRequest | None
    ) -> AsyncGenerator[list[Chunk]]:
        if on_request is not None:
            on_request(DEMO_MODEL, DEMO_MODEL)
        if calls := find_calls(turns, options):
            await asyncio.sleep(FIRST_TOKEN_SECONDS)
            usage = estimate_usage(turns, "", tools=options.tools, calls=calls)
            yield [Chunk(finish_reason="tool_calls", usage=usage, calls=tuple(calls))]
            return
        text = describe_results(turns) or ANSWER.format(question=_quote(turns))
        tokens = re.findall(r"\s*\S{1,8}", text)
        loop = asyncio.get_running_loop()
        due = loop.time() + FIRST_TOKEN_SECONDS
        written = 0
        while written < len(tokens):
            await asyncio.sleep(max(0.0, due - loop.time()))
            # A busy loop wakes late: then everything that is due is sent at once, which keeps the average pace.
            count = 1 + int(max(0.0, loop.time() - due) * self.tokens_per_second)
            yield [Chunk("".join(tokens[written : written + count]))]
            written += count
            due += count / self.tokens_per_second
        text = "".join(tokens)
        yield [Chunk(finish_reason="stop", usage=estimate_usage(turns, text, tools=options.tools))]


def find_calls(turns: Sequence[ChatTurn], options: Options) -> list[RequestedCall]:
    """The calls of offered tools that the last message asks for; none once there are results."""
    if options.call_no_more or not turns or turns[-1].role != "user":
        return []
    offered = {tool.name for tool in options.tools}
    asked = _ASKED.search(turns[-1].content)
    place, text = (asked.start() + 2, turns[-1].content) if asked else (0, "")
    found: list[RequestedCall] = []
    while (call := _CALL.match(text, place)) is not None:
        place, arguments = call.end(), "{}"
        if text[place : place + 1] == "{":
            try:
                value, place = json.JSONDecoder().raw_decode(text, place)
            except (ValueError, RecursionError):
                return []
            arguments = json.dumps(value, ensure_ascii=False)
        if call[1] in offered:
            found.append(RequestedCall(make_id(), call[1], arguments))
    return found


def describe_results(turns: Sequence[ChatTurn]) -> str:
    """What the tools that were called last returned; empty if the last turn is no result."""
    last: list[ChatTurn] = []
    for turn in reversed(turns):
        if turn.role != "tool":
            break
        last.insert(0, turn)
    words = [f"`{turn.name}` {'failed' if turn.failed else 'returned'}:\n\n{_fenced(turn.content)}" for turn in last]
    return "\n\n".join(["**This is the built-in demo model.**", *words]) if words else ""


def _fenced(text: str) -> str:
    """A result as a code block that nothing in it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text[:RESULT_CHARS]}\n{fence}"


def _quote(turns: Sequence[ChatTurn]) -> str:
    """The last question on one line, shortened, with its Markdown escaped."""
    question = next((turn.content for turn in reversed(turns) if turn.role == "user"), "")
    line = " ".join(question.split())
    if len(line) > ECHO_CHARS:
        line = line[:ECHO_CHARS].rstrip() + "…"
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$-])", r"\\\1", line)
