"""Vectors as bytes: what is most similar to a question, and how little the bytes cost."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fixtures.measurements import measured
from workers.embeddings.vectors import Block, as_bytes, nearest, ranked

if TYPE_CHECKING:
    from workers.embeddings.wire import Matrix


def random_vectors(count: int, length: int, seed: int = 1) -> Matrix:
    numbers = np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32)
    vectors: Matrix = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    return vectors


def blocks_of(vectors: Matrix, size: int = 3) -> list[Block]:
    stored = as_bytes(vectors)
    return [
        Block((uuid.UUID(int=1), at), list(range(len(stored[at : at + size]))), b"".join(stored[at : at + size]))
        for at in range(0, len(stored), size)
    ]


@pytest.mark.parametrize("length", [2, 64, 384, 1_536])
def test_bytes_keep_the_similarity_and_the_best(length: int) -> None:
    vectors = random_vectors(300, length)
    question = vectors[17] + 0.3 * random_vectors(1, length, 2)[0]
    question /= np.linalg.norm(question)
    exact = vectors @ question
    found = nearest(blocks_of(vectors), question, -1.0, 300)
    by_place = {one.place[1] + one.start: one.similarity for one in found}
    assert len(by_place) == 300
    assert max(abs(by_place[at] - exact[at]) for at in range(300)) < 0.01
    assert by_place[int(exact.argmax())] > max(by_place.values()) - 0.01


def test_most_and_least() -> None:
    vectors = random_vectors(50, 16)
    found = nearest(blocks_of(vectors), vectors[4], 0.0, 5)
    assert (found[0].place[1], found[0].start) == (3, 1)
    assert len(found) <= 5
    assert all(one.similarity >= 0 for one in found)
    assert found == ranked(found, 5)
    assert nearest(blocks_of(vectors), vectors[4], 0.999, 5) == found[:1]


def test_vectors_of_another_length_are_left_out() -> None:
    short, long = random_vectors(3, 8), random_vectors(3, 16)
    found = nearest([*blocks_of(short), *blocks_of(long)], long[0], -1.0, 10)
    assert len(found) == 3
    assert nearest(blocks_of(short), long[0], -1.0, 10) == []
    assert nearest([], long[0], -1.0, 10) == []


@pytest.mark.parametrize("length", [384, 1_536])
def test_how_long_ten_thousand_passages_take(length: int) -> None:
    """Without the database."""
    question = random_vectors(1, length, 3)[0]
    blocks = blocks_of(random_vectors(10_000, length))
    began = time.perf_counter()
    assert len(nearest(blocks, question, -1.0, 48)) == 48
    measured(f"10,000 vectors of {length}", f"{(time.perf_counter() - began) * 1000:.0f} ms")
