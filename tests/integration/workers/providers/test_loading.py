"""While its server loads the model, an answer waits for it, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from tests.fakes.dialects.ollama import OllamaWire
from tests.fakes.dialects.openai import ChatWire
from tests.fakes.dialects.script import KEY, MODEL, Script
from tests.fakes.dialects.server import DialectServer
from workers.providers.base import ChatTurn, Options, ProviderError
from workers.providers.circuit_breaker import CircuitBreaker
from workers.providers.config import Timeouts
from workers.providers.failover import GuardedEndpoint, GuardedModel
from workers.providers.http import request
from workers.providers.http.client import HttpChat
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect

TURNS = [ChatTurn("user", "Hello?")]
LOADING = Script(refuse="loading")
PATIENT = Timeouts(connect=10.0, first_chunk=60.0, idle=60.0, total=120.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "LOADING_SECONDS", 0.01)


@pytest.fixture
def server() -> Generator[DialectServer]:
    with DialectServer(ChatWire()) as server:
        yield server


@pytest.fixture
async def chat(server: DialectServer) -> AsyncGenerator[HttpChat]:
    chat = HttpChat(OpenAIDialect(), server.url, KEY, timeouts=PATIENT)
    yield chat
    await chat.close()


async def ask(chat: Any, waiting: list[str], asked: list[str] | None = None) -> str:
    options = Options(on_waiting=waiting.append)
    noted = asked if asked is not None else []
    async with chat.stream(MODEL, TURNS, options=options, on_request=lambda host, _model: noted.append(host)) as answer:
        return "".join([chunk.text async for chunks in answer for chunk in chunks])


async def test_it_asks_again_until_the_model_is_loaded(server: DialectServer, chat: HttpChat) -> None:
    server.play(LOADING, times=12)  # far more often than a failure is tried again
    waiting: list[str] = []
    asked: list[str] = []
    assert await ask(chat, waiting, asked) == Script().text
    assert waiting == ["loading"] * 12 + ["model"]
    assert len(asked) == 1, "it is one request, however long the server loads"


async def test_no_longer_than_the_first_words_may_take(server: DialectServer) -> None:
    server.play(LOADING, times=1000)
    chat = HttpChat(OpenAIDialect(), server.url, KEY, timeouts=Timeouts(10.0, 0.5, 60.0, 120.0))
    with pytest.raises(ProviderError) as caught:
        await ask(chat, [])
    assert caught.value.code == "upstream_loading"
    assert "is being loaded" in caught.value.message
    await chat.close()


async def test_a_stop_ends_the_wait(server: DialectServer, chat: HttpChat) -> None:
    server.play(LOADING, times=100_000)
    waiting: list[str] = []
    task = asyncio.create_task(ask(chat, waiting))
    async with asyncio.timeout(30):
        while not waiting:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task}, timeout=30)
    assert task.cancelled()


async def test_a_fallback_answers_at_once(server: DialectServer, chat: HttpChat) -> None:
    with DialectServer(ChatWire()) as other:
        fallback = HttpChat(OpenAIDialect(), other.url, KEY, timeouts=PATIENT)
        guarded = GuardedModel([GuardedEndpoint(one, CircuitBreaker(60.0)) for one in (chat, fallback)])
        server.play(LOADING, times=1000)
        assert await ask(guarded, []) == Script().text
        assert (len(other.chats), len(server.chats)) == (1, 3)
        await fallback.close()


async def test_who_waits_for_it_keeps_no_breaker_half_open(server: DialectServer, chat: HttpChat) -> None:
    """The model may be loaded for minutes; others that ask for it meanwhile wait for it, too."""
    endpoint = GuardedEndpoint(chat, CircuitBreaker(0.0))
    for _ in range(5):
        assert endpoint.try_acquire(MODEL) is None
        endpoint.failed(MODEL, "upstream_unreachable")
    assert endpoint.breaker.state == "half-open"
    server.play(LOADING, times=100_000)
    waiting: list[str] = []
    task = asyncio.create_task(ask(GuardedModel([endpoint]), waiting))
    async with asyncio.timeout(30):
        while not waiting:
            await asyncio.sleep(0.01)
    assert endpoint.try_acquire(MODEL) is None
    task.cancel()
    await asyncio.wait({task}, timeout=30)


async def test_ollama_is_asked_what_is_in_memory() -> None:
    wire = OllamaWire()
    with DialectServer(wire) as server:
        chat = HttpChat(OllamaDialect(), server.url, "", timeouts=PATIENT)
        for loaded, expected in (({MODEL: 16_384}, []), ({}, ["loading"])):
            wire.loaded = loaded
            waiting: list[str] = []
            assert await ask(chat, waiting) == Script().text
            assert waiting == expected
        await chat.close()
