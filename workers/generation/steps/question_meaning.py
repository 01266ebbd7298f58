"""What a run's question means, as a vector, for all that it is looked up in. It is made once, where it is needed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from django.conf import settings

from accounts.lib.db import in_db
from chat.runs.context import ClaimedRun
from workers.embeddings.client import Embedder
from workers.files.loading import Meaning
from workers.files.similar import Asked
from workers.files.wanted_vectors import Progress, want_vectors
from workers.generation.steps.embedded_question import embed_question
from workers.generation.steps.stored import through_outages

LOOK_SECONDS: Final = 0.5  # between two looks at vectors that are still being made

logger = structlog.get_logger(__name__)


class QuestionMeaning:
    """`question`: the last texts of people, the newest first. `on_waiting` is called while it waits for vectors."""

    def __init__(
        self, embedder: Embedder | None, run: ClaimedRun, question: Sequence[str], on_waiting: Callable[[], None]
    ) -> None:
        self._embedder = embedder
        self._run = run
        self._question = question
        self._on_waiting = on_waiting
        self._asked: tuple[Asked | None, str] | None = None
        self._has_waited = False

    async def vector(self) -> tuple[Asked | None, str]:
        """The vector; or None, and why: as `embed_question` has it."""
        if self._asked is None:
            self._asked = await embed_question(self._embedder, self._run, self._question)
        return self._asked

    async def among(self, contents: Sequence[uuid.UUID]) -> Meaning:
        """With what passages of these contents of attached files are looked for. What has no vectors yet gets some; the
        answer waits for them up to `EMBEDDING_WAIT_SECONDS`, once. Waits for PostgreSQL and for the embedding model.
        """
        embedder = self._embedder
        if embedder is None or not contents:
            return Meaning()
        made = await self._made(embedder, contents)
        reasons = dict.fromkeys(made.coming, "not_embedded")
        if not made.ready:
            return Meaning(None, reasons)
        asked, reason = await self.vector()
        if asked is None and reason:
            reasons |= dict.fromkeys(made.ready, reason)
        return Meaning(asked, reasons)

    async def _made(self, embedder: Embedder, contents: Sequence[uuid.UUID]) -> Progress:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (0.0 if self._has_waited else settings.EMBEDDING_WAIT_SECONDS)
        self._has_waited = True
        while True:
            made = await through_outages(lambda: in_db(want_vectors, contents, embedder.definition.key))
            if not made.soon or embedder.is_open or loop.time() >= deadline:
                break
            self._on_waiting()
            await asyncio.sleep(min(LOOK_SECONDS, max(deadline - loop.time(), 0.0)))
        logger.info(
            "vectors_looked_for", run=str(self._run.id), ready=len(made.ready), coming=len(made.coming),
            waited=round(loop.time() - deadline + settings.EMBEDDING_WAIT_SECONDS, 1),
        )  # fmt: skip
        return made
