"""The embedding model of the admin, as a worker uses it: read from its row, and reloaded after changes."""

from __future__ import annotations

import asyncio
from typing import Final

import django.db
import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from workers.embeddings.client import Embedder
from workers.embeddings.config import EmbedderDefinition
from workers.endpoints.service import define, trouble_of
from workers.models import Embedder as EmbedderRow

CLOSE_SECONDS: Final = 90.0  # longer than a request may take

logger = structlog.get_logger(__name__)


def define_embedder(row: EmbedderRow) -> EmbedderDefinition:
    """The definition of `row`, with a `trouble` if its endpoint is off or has a key that cannot be decrypted."""
    endpoint = define(row.endpoint)
    return EmbedderDefinition(
        id=str(row.pk), key=row.key, name=row.name, model=row.model, endpoint=endpoint, dimensions=row.dimensions,
        passage_prefix=row.passage_prefix, question_prefix=row.question_prefix, least_similarity=row.least_similarity,
        seconds=row.timeout, trouble=trouble_of(row.endpoint, endpoint),
    )  # fmt: skip


def load_embedder() -> EmbedderDefinition | None:
    """The one that is enabled. Raises a database error."""
    rows = EmbedderRow.objects.filter(enabled=True).select_related("endpoint").prefetch_related("endpoint__models")
    row = rows.first()
    if row is None:
        return None
    import numpy  # noqa: F401 -- here in a thread: the first question does not wait for it

    return define_embedder(row)


class EmbedderSync:
    """Keeps a worker's embedding model in step with the row; `current` is None where there is none."""

    def __init__(self) -> None:
        self.current: Embedder | None = None
        self.known = False  # the row has been read
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Reads the row. Without the database `reload` does so later."""
        try:
            await self.reload()
        except (django.db.Error, *OUTAGE) as error:  # also: not migrated yet
            logger.warning("embedder_read_failed", error=type(error).__name__, note="retried in a few seconds")

    async def reload(self) -> None:
        """Applies changes that staff made. Requests in progress end with the old one. Raises a database error."""
        wanted = await in_db(load_embedder)
        self.known = True
        before = self.current
        if wanted == (None if before is None else before.definition):
            return
        self.current = None if wanted is None else Embedder(wanted)
        name = "" if wanted is None else wanted.name
        if wanted is not None and wanted.trouble:
            logger.error("embedder_unusable", embedder=name, trouble=wanted.trouble)
        logger.info("embedder_changed", embedder=name)
        if before is not None:
            task = asyncio.get_running_loop().create_task(_close_later(before))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        for task in list(self._closing):
            task.cancel()
        if self.current is not None:
            await self.current.aclose()


async def _close_later(embedder: Embedder) -> None:
    try:
        await asyncio.sleep(CLOSE_SECONDS)
    finally:
        await embedder.aclose()
