"""The only door to the workers: tasks by name, ids in. Publishing blocks, so coroutines go through `enqueue`."""

from __future__ import annotations

import asyncio
import functools
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from celery import current_app

GENERATE: Final = "workers.tasks.generate"
GENERATE_QUEUE: Final = "generate"


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="broker")


def enqueue_generation(run_id: uuid.UUID) -> None:
    """Hands a committed run to the workers. Raises `kombu.exceptions.OperationalError` when the broker is away;
    nothing is lost then, since the sweeper enqueues what stays queued (`chat.recovery`).
    """
    current_app.send_task(GENERATE, args=[str(run_id)], queue=GENERATE_QUEUE, retry=False, ignore_result=True)


async def enqueue(run_id: uuid.UUID) -> None:
    await asyncio.get_running_loop().run_in_executor(_executor(), enqueue_generation, run_id)
