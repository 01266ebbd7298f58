"""Endpoints set up for a test, and their scripted servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.offered_models import forget_models
from workers.models import Endpoint
from workers.providers import discovery
from workers.providers.base import ChatTurn
from workers.providers.config import Definition
from workers.providers.router import ModelRouter

KEY = "sk-endpoint-canary-5c1e"


@pytest.fixture
def nothing_configured(settings: Settings) -> None:
    settings.OPENAI_BASE_URL = settings.OPENAI_API_KEY = ""
    settings.OPENAI_EXTRAS = settings.ANTHROPIC_API_KEY = settings.GEMINI_API_KEY = ""
    settings.OLLAMA_URL = "http://127.0.0.1:1"
    settings.CHAT_MODELS = []
    forget_models()


@pytest.fixture
def one() -> Generator[FakeOpenAI]:
    with FakeOpenAI(api_key=KEY) as server:
        server.models = ["fake-large", "shared"]
        yield server


@pytest.fixture
def two() -> Generator[FakeOpenAI]:
    with FakeOpenAI() as server:
        server.models = ["fake-tiny", "shared"]
        yield server


def defined(name: str, server: FakeOpenAI | str, **more: Any) -> Definition:
    url = server if isinstance(server, str) else server.url
    return Definition(id=name, name=name, base_url=url, api_key=KEY, strict=True, **more)


@contextlib.asynccontextmanager
async def opened(*rows: Definition) -> AsyncGenerator[ModelRouter]:
    router = discovery.open_router(rows)
    await router.open()
    try:
        yield router
    finally:
        await router.close()


async def ask(router: ModelRouter, model: str, script: str = "tokens=2") -> tuple[str, list[tuple[str, str]]]:
    """What was answered, and who was asked for it."""
    asked: list[tuple[str, str]] = []
    said = []
    turns = [ChatTurn("user", f"[[{script}]]")]
    async with router.stream(model, turns, on_request=lambda *who: asked.append(who)) as answer:
        async for chunks in answer:
            said += [chunk.text for chunk in chunks]
    return "".join(said), asked


def make_row(server: FakeOpenAI | str, name: str = "One", **values: Any) -> Endpoint:
    row = Endpoint(name=name, base_url=server if isinstance(server, str) else server.url, **values)
    row.set_key(KEY)
    row.save()
    return row
