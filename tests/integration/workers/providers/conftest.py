"""Every dialect's endpoint, for the tests of what all of them do, and a scripted server that speaks OpenAI's alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack

import pytest

from tests.fakes.dialects.endpoint import WIRES, Endpoint
from tests.fakes.dialects.server import DialectServer
from tests.fakes.listening import KEY, Endpoints, connections_in_use
from tests.fakes.openai_server import FakeOpenAI


@pytest.fixture(params=WIRES, ids=lambda wire: type(wire).__name__.removesuffix("Wire"))
def server(request: pytest.FixtureRequest) -> Generator[DialectServer]:
    with DialectServer(request.param) as running:
        yield running


@pytest.fixture
async def endpoint(server: DialectServer) -> AsyncGenerator[Endpoint]:
    found = Endpoint(server)
    yield found
    for chat in found.opened:
        async with asyncio.timeout(20):
            while connections_in_use(chat):  # a body's end is read in the background
                await asyncio.sleep(0.01)
        await chat.close()


@pytest.fixture
def upstream() -> Generator[FakeOpenAI]:
    """The scripted server, which wants `KEY`; in place of the shared stack's (tests/fixtures/stacks.py)."""
    with FakeOpenAI(api_key=KEY) as server:
        yield server


@pytest.fixture
async def endpoints(upstream: FakeOpenAI) -> AsyncGenerator[Endpoints]:
    async with AsyncExitStack() as stack:
        yield Endpoints(upstream, stack)
