"""Runs the callables given as `on_disconnect` and `on_reconnect`; their errors are logged and reach nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Callbacks:
    """Calls functions and coroutine functions, and keeps the tasks of the latter until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    def run(self, callback: Callable[[], Any]) -> None:
        """Calls it; what it awaits goes on in a task."""
        try:
            result = callback()
            if inspect.isawaitable(result):
                task = asyncio.ensure_future(result)
                self._tasks.add(task)
                task.add_done_callback(self._done)
        except Exception:
            logger.exception("A callback of the channel layer failed")

    async def cancel(self) -> None:
        """Cancels the tasks that still run and waits for their end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A callback of the channel layer failed", exc_info=task.exception())
