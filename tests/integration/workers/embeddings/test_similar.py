"""The passages that are most similar to a question, read from the database."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest

from chat.models import Blob, Embedding, EmbeddingState, PassageVectors
from tests.fixtures.measurements import measured
from workers.embeddings.vectors import as_bytes
from workers.files import similar
from workers.files.similar import Asked, find_similar

if TYPE_CHECKING:
    from workers.embeddings.wire import Matrix

pytestmark = pytest.mark.django_db
PASSAGES = 4  # of a part


def random_vectors(count: int, length: int, seed: int) -> Matrix:
    numbers = np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32)
    vectors: Matrix = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    return vectors


def content(vectors: Matrix, key: str = "key", state: str = EmbeddingState.DONE) -> uuid.UUID:
    """A content with a passage for each vector."""
    blob = Blob.objects.create(
        sha256=uuid.uuid4().hex * 2, size=1, media_type="text/plain", kind="text", path="x", state="read"
    )
    stored = as_bytes(vectors)
    Embedding.objects.create(
        blob=blob, model_key=key, state=state, passages=len(stored), dimensions=vectors.shape[1]
    )  # fmt: skip
    PassageVectors.objects.bulk_create(
        PassageVectors(
            blob=blob, position=at // PASSAGES, start=0, vectors=b"".join(stored[at : at + PASSAGES]),
            starts=[one * 10 for one in range(len(stored[at : at + PASSAGES]))],
        )
        for at in range(0, len(stored), PASSAGES)
    )  # fmt: skip
    return blob.pk


def test_the_nearest_come_first_and_say_where_they_are() -> None:
    first, second = random_vectors(10, 32, 1), random_vectors(10, 32, 2)
    ids = [content(first), content(second)]
    found = find_similar(ids, Asked(second[6], "key", 0.5))
    assert found.places[0] == (ids[1], 1, 20)
    assert found.unmade == frozenset()


def test_only_those_of_the_same_model_that_are_made() -> None:
    vectors = random_vectors(3, 32, 1)
    states = (EmbeddingState.DONE, EmbeddingState.PENDING, EmbeddingState.FAILED)
    ids = [content(vectors, key="other"), *(content(vectors, state=state) for state in states)]
    found = find_similar(ids, Asked(vectors[0], "key", 0.9))
    assert [place[0] for place in found.places] == [ids[1]]
    assert found.unmade == {ids[0], ids[2]}  # of one that failed, none will be made
    assert find_similar(ids, Asked(random_vectors(1, 16, 1)[0], "key", 0.0)).places == []
    assert find_similar([], Asked(vectors[0], "key", 0.0)).places == []


def test_in_groups_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = random_vectors(60, 32, 1)
    ids = [content(vectors[at : at + 10]) for at in range(0, 60, 10)]
    asked = Asked(vectors[33], "key", -1.0)
    whole = find_similar(ids, asked)
    monkeypatch.setattr(similar, "READ_AT_ONCE", 15)
    assert find_similar(ids, asked) == whole
    assert whole.places[0] == (ids[3], 0, 30)


def test_contents_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = random_vectors(30, 32, 1)
    ids = [content(vectors[at : at + 10]) for at in range(0, 30, 10)]
    monkeypatch.setattr(similar, "READ_AT_ONCE", 10)
    monkeypatch.setattr(similar, "MOST_READ", 20)
    found = find_similar(ids, Asked(vectors[0], "key", -1.0))
    assert {place[0] for place in found.places} == set(ids[:2])


@pytest.mark.parametrize("length", [384, 1_536])
def test_how_long_ten_thousand_passages_take(length: int) -> None:
    ids = [content(random_vectors(1_000, length, seed)) for seed in range(10)]
    asked = Asked(random_vectors(1, length, 99)[0], "key", -1.0)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        assert len(find_similar(ids, asked).places) == similar.MOST_NEAR
        seconds.append(time.perf_counter() - began)
    measured(f"10,000 passages with vectors of {length}", f"{min(seconds) * 1000:.0f} ms")
