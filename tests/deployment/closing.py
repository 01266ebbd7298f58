"""The end of a test's connections: import `let_connections_close` into a module of tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
async def let_connections_close() -> AsyncGenerator[None, None]:
    """Ends what the client session has left open. A closed TLS connection waits for the other side's close_notify, and
    the loop of a test does not wait for that: it would be found unclosed in whichever test runs later.
    """
    yield
    loop: Any = asyncio.get_running_loop()
    for transport in list(loop._transports.values()):
        transport.abort()
    for _ in range(3):  # a callback for each layer of a connection
        await asyncio.sleep(0)
