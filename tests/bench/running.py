"""What the bench's own processes share: they end when the runner does."""

from __future__ import annotations

import asyncio
import sys


async def end_with_parent() -> None:
    """Returns when standard input closes, which it does when the process that started us is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
