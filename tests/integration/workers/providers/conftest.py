"""Every dialect's endpoint, for the tests of what all of them do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest

from tests.fakes.dialects.endpoint import WIRES, Endpoint
from tests.fakes.dialects.server import DialectServer
from tests.fakes.listening import connections_in_use


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
