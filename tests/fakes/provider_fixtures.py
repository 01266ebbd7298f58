"""A pytest plugin: the scripted server, and endpoints on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack

import pytest

from tests.fakes.listening import KEY, Endpoints
from tests.fakes.openai_server import FakeOpenAI


@pytest.fixture
def upstream() -> Generator[FakeOpenAI]:
    """The scripted server, which wants `KEY`."""
    with FakeOpenAI(api_key=KEY) as server:
        yield server


@pytest.fixture
async def endpoints(upstream: FakeOpenAI) -> AsyncGenerator[Endpoints]:
    async with AsyncExitStack() as stack:
        yield Endpoints(upstream, stack)
