"""What keeps a worker in step with the database, the other workers and the texts that wait for a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from accounts.lib.db import in_db
from accounts.lib.refreshing import REFRESH_SECONDS
from chat.catalog.refreshing import refresh_rules
from chat.jobs.queues import FILES_QUEUE, MODERATION_QUEUE
from workers.endpoints.service import EndpointSync
from workers.files.embedding_jobs import EmbeddingJobs
from workers.generation.judge_shown import ShownJudge
from workers.generation.services import Services
from workers.moderation.service import JudgeSync
from workers.runtime.repeat import repeat
from workers.tools.publishing import publish_own_tools
from workers.tools.servers.refresh import refresh_due

CATALOG_SECONDS: Final = 60.0
ENDPOINTS_SECONDS: Final = 4.0  # with the web processes' own 5 (`chat.catalog`) a change is visible within 10
FACTS_SECONDS: Final = 10.0  # what one worker learns about a model, the others know so soon
EMBEDDING_SECONDS: Final = 2.0  # between two looks for contents that need vectors: an answer may wait for them
TOOL_SERVERS_SECONDS: Final = 20.0  # between two looks at whether a tool server is to be listed again


def keep_in_step(
    services: Services, endpoints: EndpointSync, judges: JudgeSync, takes: Callable[[str], bool]
) -> Iterator[Coroutine[Any, Any, None]]:
    """The loops of a worker that read what staff have changed, and publish what it offers and has learnt. What waits
    for a verdict is judged, and vectors are made, while the worker `takes` jobs of the queue for it.
    """
    shown = ShownJudge(services)

    async def judge_shown() -> None:
        if takes(MODERATION_QUEUE):
            await shown.judge()

    yield repeat(endpoints.publish, every=CATALOG_SECONDS)
    yield repeat(_publish_tools, every=CATALOG_SECONDS)
    yield repeat(endpoints.reload, every=ENDPOINTS_SECONDS)
    yield repeat(judges.reload, every=ENDPOINTS_SECONDS)
    yield repeat(services.embedders.reload, every=ENDPOINTS_SECONDS)
    yield repeat(EmbeddingJobs(services.embedders, lambda: takes(FILES_QUEUE)).embed_waiting, every=EMBEDDING_SECONDS)
    yield repeat(refresh_rules, every=REFRESH_SECONDS)
    yield repeat(endpoints.share_facts, every=FACTS_SECONDS)
    yield repeat(judge_shown, every=1.0)
    yield _refresh_tool_servers()


async def _publish_tools() -> None:
    await in_db(publish_own_tools)


async def _refresh_tool_servers() -> None:
    """Begins later: the client of tool servers takes a second to load, and the first answers wait for nothing."""
    await asyncio.sleep(TOOL_SERVERS_SECONDS)
    await repeat(refresh_due, every=TOOL_SERVERS_SECONDS)
