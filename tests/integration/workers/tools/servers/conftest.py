"""No session with a tool server outlives its test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from workers.tools.servers import refresh
from workers.tools.servers.pool import session_pool


@pytest.fixture(autouse=True)
async def _close_sessions() -> AsyncIterator[None]:
    """Ends what a test leaves, also lists that are read in the background (`refresh_soon`). What the package `mcp`
    begins while the loop is closed is never awaited, and that shows as a warning in another file's test.
    """
    yield
    tasks = list(refresh._refreshing.values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await session_pool().close()
