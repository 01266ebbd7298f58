"""The rows of embeddings: who makes the vectors of a content, what is stored and paid for.

A worker claims a content with a name of its own and renews the claim with each request that it stores. Each request's
vectors and its entry in the ledger are one transaction: a worker that is killed has stored both or neither, and another
one goes on behind what is stored.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.quotas.background import may_spend
from accounts.quotas.settlement import Used, settle_background
from chat.models import Blob, Embedding, EmbeddingState, File, FileText, PassageVectors
from workers.files.passages import windows_of

PURPOSE: Final = "embedding"
CLAIM_SECONDS: Final = 90.0  # longer than a request may take
MAX_ATTEMPTS: Final = 5  # that were lost with their worker
QUOTA_SECONDS: Final = 600.0  # until a content is tried again whose owner has no quota left

# Small contents first among those that were tried as often, so that nobody's note waits for somebody's book.
_CLAIM: Final = """
UPDATE chat_embedding SET attempts = attempts + 1, claimed_by = %(claim)s,
    claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE blob_id = (
    SELECT e.blob_id FROM chat_embedding e JOIN chat_blob b ON b.id = e.blob_id
    WHERE e.state = 'pending' AND e.model_key = %(key)s
        AND (e.claimed_until IS NULL OR e.claimed_until < clock_timestamp())
    ORDER BY e.attempts, b.characters, e.created_at LIMIT 1 FOR UPDATE OF e SKIP LOCKED
)
RETURNING blob_id, attempts
"""
_RENEW: Final = """
UPDATE chat_embedding SET claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE blob_id = %(blob)s AND state = 'pending' AND claimed_by = %(claim)s RETURNING blob_id
"""
_GIVE_BACK: Final = """
UPDATE chat_embedding SET claimed_by = NULL, attempts = GREATEST(attempts - 1, 0), reason = %(reason)s,
    claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE blob_id = %(blob)s AND state = 'pending' AND claimed_by = %(claim)s
"""
_SIZES: Final = """
SELECT COALESCE(sum(cardinality(starts)), 0)::int, COALESCE(sum(octet_length(vectors)), 0)::bigint
FROM chat_passagevectors WHERE blob_id = %s
"""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage that has no vector yet."""

    position: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A content whose vectors this worker makes. `payer` owns the oldest of its files in collections, else of all."""

    blob_id: uuid.UUID
    claim: uuid.UUID
    payer: uuid.UUID | None
    characters: int
    pieces: Sequence[Piece]


def claim_content(key: str, model: str) -> Claimed | None:
    """The next content whose vectors are to be made; None if none waits. One whose owner has no quota left waits."""
    while (found := _claim(key)) is not None:
        claimed, attempts = found
        if attempts > MAX_ATTEMPTS:
            fail(claimed, "attempts")
        elif claimed.payer is not None and claimed.pieces and not may_spend(claimed.payer, model):
            give_back(claimed, QUOTA_SECONDS, "quota")
        else:
            return claimed
    return None


def _claim(key: str) -> tuple[Claimed, int] | None:
    """A content that waits, and how often it was claimed."""
    claim = uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"key": key, "claim": claim, "seconds": CLAIM_SECONDS})
        row = cursor.fetchone()
    if row is None:
        return None
    blob_id, attempts = row
    files = File.objects.filter(blob=blob_id).alias(apart=Q(collection=None)).order_by("apart", "created_at", "pk")
    payer = files.values_list("owner", flat=True).first()
    characters = Blob.objects.filter(pk=blob_id).values_list("characters", flat=True).first() or 0
    return Claimed(blob_id, claim, payer, characters, _missing(blob_id)), attempts


def _missing(blob_id: uuid.UUID) -> list[Piece]:
    """The passages without a vector, in their order."""
    rows = PassageVectors.objects.filter(blob=blob_id).values_list("position", "starts")
    known = {(position, start) for position, starts in rows for start in starts}
    texts = FileText.objects.filter(blob=blob_id).exclude(text="").order_by("position")
    return [
        Piece(position, start, piece)
        for position, text in texts.values_list("position", "text")
        for start, piece in windows_of(text)
        if (position, start) not in known
    ]


def store(claimed: Claimed, pieces: Sequence[Piece], vectors: Sequence[bytes], used: Used) -> bool:
    """Stores the vectors of consecutive passages with what they cost. False if the content is another worker's by now,
    was deleted or belongs to another embedding model; then nothing is stored.
    """
    try:
        with transaction.atomic():
            if not _is_mine(claimed):
                return False
            PassageVectors.objects.bulk_create(_rows(claimed.blob_id, pieces, vectors))
            settle_background(claimed.payer, timezone.now(), used, purpose=PURPOSE)
    except IntegrityError:
        logger.info("embedding_superseded", blob=str(claimed.blob_id))
        return False
    return True


def _is_mine(claimed: Claimed) -> bool:
    """Renews the claim. The content is locked first, as by whoever deletes it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM chat_blob WHERE id = %s FOR KEY SHARE", [claimed.blob_id])
        if not cursor.rowcount:
            return False
        cursor.execute(_RENEW, {"blob": claimed.blob_id, "claim": claimed.claim, "seconds": CLAIM_SECONDS})
        return cursor.fetchone() is not None


def _rows(blob_id: uuid.UUID, pieces: Sequence[Piece], vectors: Sequence[bytes]) -> list[PassageVectors]:
    rows: dict[int, PassageVectors] = {}
    for piece, vector in zip(pieces, vectors, strict=True):
        row = rows.get(piece.position)
        if row is None:
            rows[piece.position] = PassageVectors(
                blob_id=blob_id, position=piece.position, start=piece.start, starts=[piece.start], vectors=vector
            )
        else:
            row.starts.append(piece.start)
            row.vectors = bytes(row.vectors) + vector
    return list(rows.values())


def finish(claimed: Claimed, reason: str = "") -> bool:
    """All passages that can have a vector have one. Whether the content was still this worker's."""
    with transaction.atomic():
        if not _is_mine(claimed):
            return False
        with connection.cursor() as cursor:
            cursor.execute(_SIZES, [claimed.blob_id])
            passages, numbers = cursor.fetchone()
        fields: dict[str, Any] = {
            "state": EmbeddingState.DONE if passages else EmbeddingState.FAILED, "reason": reason,
            "characters": claimed.characters, "passages": passages, "claimed_by": None, "claimed_until": None,
            "dimensions": numbers // passages if passages else 0,
        }  # fmt: skip
        Embedding.objects.filter(blob=claimed.blob_id).update(**fields)
    logger.info("passages_embedded", blob=str(claimed.blob_id), passages=passages, reason=reason)
    return True


def fail(claimed: Claimed, reason: str) -> None:
    """No vectors are made of it; it is found by words."""
    mine = Embedding.objects.filter(blob=claimed.blob_id, state=EmbeddingState.PENDING, claimed_by=claimed.claim)
    if mine.update(state=EmbeddingState.FAILED, reason=reason, claimed_by=None, claimed_until=None):
        logger.warning("embedding_gave_up", blob=str(claimed.blob_id), reason=reason)


def give_back(claimed: Claimed, seconds: float, reason: str) -> None:
    """Any worker may go on with it after so many seconds. That is no lost attempt."""
    values: dict[str, Any] = {
        "blob": claimed.blob_id, "claim": claimed.claim, "seconds": seconds, "reason": reason[:40],
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, values)
