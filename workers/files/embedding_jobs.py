"""Makes the vectors of contents that need some, in the background: one content at a time in each worker that reads
files. There are no jobs to lose: what waits is in the database, and each worker looks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from accounts.lib.db import in_db
from accounts.quotas.settlement import Used
from workers.embeddings.client import OF_TEXTS, Embedder
from workers.embeddings.service import EmbedderSync
from workers.embeddings.vectors import as_bytes
from workers.embeddings.wire import EmbeddingError
from workers.files import embedding_rows as rows
from workers.files import wanted_vectors as wanted
from workers.files.embedding_rows import Claimed, Piece
from workers.providers.base import TokenUsage

TEXTS_AT_ONCE: Final = 32  # passages of one request, about 13,000 tokens
AWAY_SECONDS: Final = 20.0  # until a content is tried again whose vectors did not come
LONGEST_WAIT: Final = 600.0  # that an endpoint may ask for
SHORTEST_CHARS: Final = 200  # of a passage that is refused as too long
HARMLESS: Final = "It rains."
SWEPT_ROUNDS: Final = 30  # rounds between two looks for what nobody needs any more

logger = structlog.get_logger(__name__)


class EmbeddingJobs:
    """`may_work()`: this worker reads files, and is not shutting down."""

    def __init__(self, sync: EmbedderSync, may_work: Callable[[], bool]) -> None:
        self._sync = sync
        self._may_work = may_work
        self._round = 0

    async def embed_waiting(self) -> None:
        """One round: marks what needs vectors, and makes those of all that wait. Waits for PostgreSQL."""
        if not self._may_work():
            return
        embedder = self._sync.current
        self._round += 1
        if self._round % SWEPT_ROUNDS == 1:
            if embedder is not None:
                await in_db(wanted.forget_stale, embedder.definition.key)
            elif self._sync.known:
                await in_db(wanted.forget_waiting)
        if embedder is None or embedder.is_open:
            return
        definition = embedder.definition
        await in_db(wanted.mark_wanted, definition.key)
        while self._may_work() and self._sync.current is embedder and not embedder.is_open:
            claimed = await in_db(rows.claim_content, definition.key, definition.model)
            if claimed is None or not await self._embed(embedder, claimed):
                return

    async def _embed(self, embedder: Embedder, claimed: Claimed) -> bool:
        """Whether the next content may follow: not while the endpoint gives nothing."""
        left = list(claimed.pieces)
        reason = ""
        while left:
            if not self._may_work():
                await in_db(rows.give_back, claimed, 0.0, "")
                return False
            batch, left = left[:TEXTS_AT_ONCE], left[TEXTS_AT_ONCE:]
            try:
                stored, whole = await self._embed_batch(embedder, claimed, batch)
            except EmbeddingError as error:
                seconds = min(max(AWAY_SECONDS, error.retry_after or 0.0), LONGEST_WAIT)
                await in_db(rows.give_back, claimed, seconds, error.code)
                return False
            except BaseException:
                await in_db(rows.give_back, claimed, AWAY_SECONDS, "")
                raise
            if not stored:
                return True
            reason = reason if whole else "partly"
        await in_db(rows.finish, claimed, reason)
        return True

    async def _embed_batch(self, embedder: Embedder, claimed: Claimed, batch: Sequence[Piece]) -> tuple[bool, bool]:
        """Whether the vectors were stored, and whether each passage has one. A request that is refused for its texts is
        divided; a passage that is still refused has its beginning embedded, or no vector. Raises `EmbeddingError`.
        """
        try:
            found, usage = await embedder.embed_passages([piece.text for piece in batch])
        except EmbeddingError as error:
            if error.code not in OF_TEXTS:
                raise
            if len(batch) > 1:
                half = len(batch) // 2
                first, whole = await self._embed_batch(embedder, claimed, batch[:half])
                if not first:
                    return False, whole
                second, also = await self._embed_batch(embedder, claimed, batch[half:])
                return second, whole and also
            [piece] = batch
            if len(piece.text) // 2 < SHORTEST_CHARS:
                await self._check_others(embedder)
                return True, False
            return await self._embed_batch(
                embedder, claimed, [Piece(piece.position, piece.start, piece.text[: len(piece.text) // 2])]
            )
        used = used_of(embedder, usage)
        return await in_db(rows.store, claimed, batch, as_bytes(found.vectors), used), True

    async def _check_others(self, embedder: Embedder) -> None:
        """Raises `EmbeddingError` if the endpoint refuses any text: then it is not this one's fault."""
        try:
            await embedder.embed_passages([HARMLESS])
        except EmbeddingError as error:
            raise EmbeddingError("embedding_refused", error.detail or error.code) from None


def used_of(embedder: Embedder, usage: TokenUsage) -> Used:
    """What a request is recorded with in the usage ledger."""
    definition = embedder.definition
    return Used(
        definition.model, definition.endpoint.ledger_name, input_tokens=usage.input_tokens, estimated=usage.estimated
    )
