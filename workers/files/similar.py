"""Finds the passages whose vectors are most similar to a question's, by reading all vectors of the contents: exact, and
fast enough for chosen collections (docs/performance.md). No extension of PostgreSQL is needed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from chat.models import Embedding, EmbeddingState, PassageVectors
from workers.embeddings.vectors import Block, Near, nearest, ranked

if TYPE_CHECKING:
    from workers.embeddings.wire import Matrix

MOST_NEAR: Final = 48  # passages: twice what an answer gets
READ_AT_ONCE: Final = 4_000  # passages whose vectors are in memory together: 24 MB for each 1,536 numbers
MOST_READ: Final = 50_000  # passages of one question: those of further files are found by words only

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question's vector, with the embedding model that made it: `key`, and the least similarity that counts."""

    vector: Matrix
    key: str
    least: float


@dataclass(frozen=True, slots=True)
class Similar:
    """`places` are (content, position, start), the most similar first. `unmade`: contents whose vectors are still to be
    made.
    """

    places: Sequence[tuple[uuid.UUID, int, int]] = ()
    unmade: frozenset[uuid.UUID] = frozenset()


def find_similar(blob_ids: Sequence[uuid.UUID], asked: Asked) -> Similar:
    """Blocks; raises a database error."""
    rows = Embedding.objects.filter(blob__in=blob_ids, model_key=asked.key).exclude(state=EmbeddingState.PENDING)
    made = list(rows.values_list("blob", "state", "dimensions", "passages"))
    # Of those that failed none will be made.
    unmade = frozenset(blob_ids) - {
        blob_id for blob_id, state, length, _ in made if state == EmbeddingState.FAILED or length == len(asked.vector)
    }
    sizes = {
        blob_id: passages
        for blob_id, state, length, passages in made
        if state == EmbeddingState.DONE and length == len(asked.vector)
    }
    found: list[Near] = []
    read = 0
    for group, passages in _groups([one for one in blob_ids if one in sizes], sizes):
        vectors = PassageVectors.objects.filter(blob__in=group)
        blocks = [
            Block((blob_id, position), starts, stored)
            for blob_id, position, starts, stored in vectors.values_list("blob", "position", "starts", "vectors")
        ]
        found = ranked([*found, *nearest(blocks, asked.vector, asked.least, MOST_NEAR)], MOST_NEAR)
        read += len(group)
        if passages >= MOST_READ:
            break
    if read < len(sizes):
        logger.warning("vectors_left_out", contents=len(sizes) - read, note="too many passages for one question")
    places = [(one.place[0], one.place[1], one.start) for one in found]
    return Similar(places, unmade)  # type: ignore[arg-type]  # the places of these blocks


def _groups(
    blob_ids: Sequence[uuid.UUID], sizes: dict[uuid.UUID, int]
) -> Iterator[tuple[list[uuid.UUID], int]]:  # fmt: skip
    """Contents that are read together, and how many passages there are up to and with them."""
    group: list[uuid.UUID] = []
    held = total = 0
    for blob_id in blob_ids:
        if group and held + sizes[blob_id] > READ_AT_ONCE:
            yield group, total
            group, held = [], 0
        group.append(blob_id)
        held += sizes[blob_id]
        total += sizes[blob_id]
    if group:
        yield group, total
