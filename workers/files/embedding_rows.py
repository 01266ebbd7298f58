"""The rows of embeddings: which contents need vectors, who makes them, what is stored and paid for.

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
from django.utils import timezone

from accounts.quotas.background import may_spend
from accounts.quotas.settlement import Used, settle_background
from chat.models import Blob, Embedding, EmbeddingState, File, FileText, PassageVectors
from workers.files.passages import windows_of

PURPOSE: Final = "embedding"
CLAIM_SECONDS: Final = 90.0  # longer than a request may take
MAX_ATTEMPTS: Final = 5  # that were lost with their worker
QUOTA_SECONDS: Final = 600.0  # until a content is tried again whose owner has no quota left
NEW_AT_ONCE: Final = 200  # contents that one round marks

# Contents of collections without vectors of this embedding model, or whose text has grown since.
_WANTED: Final = """
SELECT DISTINCT b.id, e.model_key IS DISTINCT FROM %(key)s FROM chat_file f
JOIN chat_blob b ON b.id = f.blob_id LEFT JOIN chat_embedding e ON e.blob_id = b.id
WHERE f.collection_id IS NOT NULL AND b.state = 'read' AND b.characters > 0
    AND (e.blob_id IS NULL OR e.model_key <> %(key)s OR (e.state = 'done' AND e.characters <> b.characters))
ORDER BY b.id LIMIT %(most)s
"""
_MARK: Final = """
INSERT INTO chat_embedding (blob_id, model_key, state, reason, characters, passages, dimensions, attempts, created_at)
SELECT b.id, %(key)s, 'pending', '', 0, 0, 0, 0, clock_timestamp() FROM chat_blob b WHERE b.id = %(blob)s
ON CONFLICT (blob_id) DO UPDATE SET model_key = %(key)s, state = 'pending', reason = '', attempts = 0,
    claimed_by = NULL, claimed_until = NULL
WHERE chat_embedding.model_key <> %(key)s OR chat_embedding.state = 'done'
"""
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
# The content of a file that was taken out of its last collection.
_UNUSED: Final = """
DELETE FROM {table} one WHERE NOT EXISTS (
    SELECT FROM chat_file f WHERE f.blob_id = one.blob_id AND f.collection_id IS NOT NULL)
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
    """A content whose vectors this worker makes. `payer` owns the oldest of its files in collections."""

    blob_id: uuid.UUID
    claim: uuid.UUID
    payer: uuid.UUID | None
    characters: int
    pieces: Sequence[Piece]


def mark_wanted(key: str) -> int:
    """Marks contents that need vectors of this embedding model; how many. Vectors of another one are deleted."""
    with connection.cursor() as cursor:
        cursor.execute(_WANTED, {"key": key, "most": NEW_AT_ONCE})
        wanted = cursor.fetchall()
    return sum(_mark(blob_id, key, anew=anew) for blob_id, anew in wanted)


def _mark(blob_id: uuid.UUID, key: str, *, anew: bool) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_MARK, {"key": key, "blob": blob_id})
            marked = bool(cursor.rowcount)  # else another worker was first
            if marked and anew:
                cursor.execute("DELETE FROM chat_passagevectors WHERE blob_id = %s", [blob_id])
    except IntegrityError:  # the content is being deleted
        return False
    return marked


def forget_waiting() -> None:
    """Without an embedding model, nothing waits for vectors."""
    Embedding.objects.filter(state=EmbeddingState.PENDING).delete()


def forget_unused() -> int:
    """Deletes what contents of no collection have; how many there were."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_UNUSED.format(table="chat_passagevectors"))
        cursor.execute(_UNUSED.format(table="chat_embedding"))
        return int(cursor.rowcount)


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
    files = File.objects.filter(blob=blob_id, collection__isnull=False).order_by("created_at", "pk")
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
