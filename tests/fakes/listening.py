"""Listening to a provider in tests: what one answer said, and endpoints that must leave no connection in use."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from tests.fakes.openai_server import FakeOpenAI
from workers.providers.base import ChatTurn, Chunk, ProviderError, TokenUsage
from workers.providers.config import Timeouts
from workers.providers.http.client import HttpChat
from workers.providers.openai.client import OpenAIChat

TIMEOUTS: Final = Timeouts(connect=2.0, first_chunk=5.0, idle=5.0, total=20.0)
KEY: Final = "sk-test"


@dataclass
class Heard:
    """What came of one answer."""

    lists: list[list[Chunk]] = field(default_factory=list)
    requests: int = 0

    @property
    def chunks(self) -> list[Chunk]:
        return [chunk for chunks in self.lists for chunk in chunks]

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def usage(self) -> TokenUsage:
        return [chunk.usage for chunk in self.chunks if chunk.usage is not None][-1]

    def note_request(self, _endpoint: str, _model: str) -> None:
        self.requests += 1


class Endpoints:
    """Opens endpoints, and closes them after the test, each with no connection left in use."""

    def __init__(self, server: FakeOpenAI, stack: AsyncExitStack) -> None:
        self.server = server
        self.stack = stack

    def open(self, url: str = "", key: str = KEY, **timeouts: float) -> OpenAIChat:
        endpoint = OpenAIChat(url or self.server.url, key, timeouts=replace(TIMEOUTS, **timeouts))
        self.stack.push_async_callback(self.close, endpoint)
        return endpoint

    async def close(self, endpoint: OpenAIChat) -> None:
        async with asyncio.timeout(2):
            while connections_in_use(endpoint):  # a body's end is read in the background
                await asyncio.sleep(0.01)
        await endpoint.close()


def connections_in_use(endpoint: HttpChat) -> int:
    """Of the pool below, which has no public way to tell."""
    session = endpoint.transport._http._transport.client  # type: ignore[attr-defined]  # the transport's class is private
    return len(session.connector._acquired) if session is not None else 0


def ask(script: str) -> list[ChatTurn]:
    return [ChatTurn("system", "Be brief."), ChatTurn("user", f"Tell me [[{script}]]")]


async def listen(endpoint: OpenAIChat, script: str = "", heard: Heard | None = None) -> Heard:
    heard = heard if heard is not None else Heard()
    async with endpoint.stream("fake-large", ask(script), on_request=heard.note_request) as answer:
        async for chunks in answer:
            heard.lists.append(chunks)
    return heard


async def fail(endpoint: OpenAIChat, script: str = "", heard: Heard | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await listen(endpoint, script, heard)
    return caught.value
