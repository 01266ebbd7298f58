"""Vectors as bytes, and how similar they are to a question's. Pure: no I/O.

Each number is kept as a signed byte, by the greatest of its vector. Similarity (the cosine of the angle) does not
depend on a vector's length, so no scale is kept. Of the similarity that costs less than 0.01 (measured in the tests).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # numpy is loaded where an embedding model is set up
    from workers.embeddings.wire import Matrix

_GREATEST: Final = 127


@dataclass(frozen=True, slots=True)
class Block:
    """The stored vectors of consecutive passages: `place` is the caller's, `starts` where each passage begins."""

    place: tuple[object, int]
    starts: Sequence[int]
    vectors: bytes | memoryview


@dataclass(frozen=True, slots=True, order=True)
class Near:
    """A passage and its similarity with the question, from -1 to 1."""

    similarity: float
    place: tuple[object, int]
    start: int


def as_bytes(vectors: Matrix) -> list[bytes]:
    """Each vector with a byte for each number."""
    import numpy as np

    greatest = np.abs(vectors).max(axis=1, keepdims=True)
    return [row.tobytes() for row in np.rint(vectors / greatest * _GREATEST).astype(np.int8)]


def nearest(blocks: Iterable[Block], question: Matrix, least: float, most: int) -> list[Near]:
    """The passages that are most similar to the question, the most similar first: at most `most`, none below `least`.
    Blocks whose vectors have another length are left out. `question` is one vector of length 1.
    """
    import numpy as np

    length = len(question)
    fitting = [one for one in blocks if one.starts and len(one.vectors) == len(one.starts) * length]
    if not fitting:
        return []
    stored = np.frombuffer(b"".join(one.vectors for one in fitting), dtype=np.int8).reshape(-1, length)
    numbers = stored.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", numbers, numbers))
    similar = (numbers @ question) / np.maximum(lengths, 1.0)
    count = min(most, len(similar))
    best = np.argpartition(-similar, count - 1)[:count] if count < len(similar) else np.arange(count)
    ends = np.cumsum([len(one.starts) for one in fitting])
    found = []
    for at in best:
        if similar[at] < least:
            continue
        block = int(np.searchsorted(ends, at, side="right"))
        one = fitting[block]
        inside = int(at) - (int(ends[block - 1]) if block else 0)
        found.append(Near(float(similar[at]), one.place, one.starts[inside]))
    return ranked(found, most)


def ranked(found: Iterable[Near], most: int) -> list[Near]:
    """The most similar ones, the most similar first."""
    return heapq.nlargest(most, found, key=lambda one: one.similarity)
