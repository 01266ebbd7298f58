"""Which contents need vectors: those in collections, new long ones that are attached, and those that an answer has
found too long for its model. The others fit a model's window as a whole, so nobody pays for vectors of theirs.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError, connection, transaction

from accounts.lib.ids import lowest_uuid7
from chat.models import Embedding, EmbeddingState

NEW_AT_ONCE: Final = 200  # contents that one round marks
LONG_CHARS: Final = 16_000  # of a text that is attached: about 4,000 tokens, half of what the smallest windows have
NEW_SECONDS: Final = 86_400  # since a file was attached: those before the embedding model was set up are asked for

# Without vectors of this embedding model, or whose text has grown since.
_WANTED: Final = """
SELECT DISTINCT b.id, e.model_key IS DISTINCT FROM %(key)s FROM chat_file f
JOIN chat_blob b ON b.id = f.blob_id LEFT JOIN chat_embedding e ON e.blob_id = b.id
WHERE (f.collection_id IS NOT NULL OR (f.id >= %(since)s AND b.characters >= %(long)s))
    AND b.state = 'read' AND b.characters > 0
    AND (e.blob_id IS NULL OR e.model_key <> %(key)s OR (e.state = 'done' AND e.characters <> b.characters))
ORDER BY b.id LIMIT %(most)s
"""
_UNKNOWN: Final = """
SELECT b.id FROM chat_blob b LEFT JOIN chat_embedding e ON e.blob_id = b.id
WHERE b.id = ANY(%(blobs)s::uuid[]) AND b.state = 'read' AND b.characters > 0 AND e.model_key IS DISTINCT FROM %(key)s
"""
_MARK: Final = """
INSERT INTO chat_embedding (blob_id, model_key, state, reason, characters, passages, dimensions, attempts, created_at)
SELECT b.id, %(key)s, 'pending', '', 0, 0, 0, 0, clock_timestamp() FROM chat_blob b WHERE b.id = %(blob)s
ON CONFLICT (blob_id) DO UPDATE SET model_key = %(key)s, state = 'pending', reason = '', attempts = 0,
    claimed_by = NULL, claimed_until = NULL
WHERE chat_embedding.model_key <> %(key)s OR chat_embedding.state = 'done'
"""
# Of a content in no collection, which no answer has asked for since there is another embedding model.
_STALE: Final = """
WITH stale AS (
    DELETE FROM chat_embedding e WHERE e.model_key <> %(key)s AND NOT EXISTS (
        SELECT FROM chat_file f WHERE f.blob_id = e.blob_id AND f.collection_id IS NOT NULL)
    RETURNING e.blob_id
)
DELETE FROM chat_passagevectors v USING stale WHERE v.blob_id = stale.blob_id
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Which contents have vectors, and which get some. `soon` are those of `coming` that nothing holds up. Those that
    are in neither get none.
    """

    ready: frozenset[uuid.UUID] = frozenset()
    coming: frozenset[uuid.UUID] = frozenset()
    soon: frozenset[uuid.UUID] = frozenset()


def mark_wanted(key: str) -> int:
    """Marks contents that need vectors of this embedding model; how many. Vectors of another one are deleted."""
    since = lowest_uuid7(int((time.time() - NEW_SECONDS) * 1000))
    with connection.cursor() as cursor:
        cursor.execute(_WANTED, {"key": key, "since": since, "long": LONG_CHARS, "most": NEW_AT_ONCE})
        wanted = cursor.fetchall()
    return sum(_mark(blob_id, key, anew=anew) for blob_id, anew in wanted)


def want_vectors(blob_ids: Sequence[uuid.UUID], key: str) -> Progress:
    """Marks those of these contents that have no vectors of this embedding model; how far they all are. Blocks; raises
    a database error.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNKNOWN, {"blobs": list(blob_ids), "key": key})
        unknown = [blob_id for (blob_id,) in cursor.fetchall()]
    for blob_id in unknown:
        _mark(blob_id, key, anew=True)
    rows = Embedding.objects.filter(blob__in=blob_ids, model_key=key).values_list("blob", "state", "reason")
    states = {blob_id: (state, reason) for blob_id, state, reason in rows}
    coming = {one for one, (state, _) in states.items() if state == EmbeddingState.PENDING}
    return Progress(
        frozenset(one for one, (state, _) in states.items() if state == EmbeddingState.DONE),
        frozenset(coming),
        frozenset(one for one in coming if not states[one][1]),
    )


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


def forget_stale(key: str) -> None:
    """Deletes vectors of other embedding models than this one that are not made anew by themselves."""
    with connection.cursor() as cursor:
        cursor.execute(_STALE, {"key": key})
