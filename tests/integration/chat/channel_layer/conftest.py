"""Channel layers on the tests' Redis, or on one of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from config.stack.valkey import PrivateValkey
from tests.integration.chat.channel_layer.layer_servers import Make, layers_of, own_redis


@pytest.fixture
async def make(clean_redis: str) -> AsyncIterator[Make]:
    async with layers_of(clean_redis) as make:
        yield make


@pytest.fixture
def server() -> Iterator[PrivateValkey]:
    """A Redis that the test may kill or freeze."""
    with own_redis() as redis_server:
        yield redis_server


@pytest.fixture
async def make_layer(server: PrivateValkey) -> AsyncIterator[Make]:
    """Makes layers on `server`."""
    async with layers_of(server.url) as make:
        yield make
