"""Answers of the embeddings API: nothing in them is taken on trust."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from workers.embeddings.wire import MOST_BYTES, EmbeddingError, read_answer, request_of


def answer(*vectors: Any, **more: Any) -> bytes:
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
    return json.dumps({"object": "list", "data": data, **more}).encode()


def test_vectors_have_length_one_and_the_order_of_their_texts() -> None:
    data = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3, 4]}]
    found = read_answer(json.dumps({"data": data, "usage": {"prompt_tokens": 7}}).encode(), 2)
    assert np.allclose(found.vectors, [[0.6, 0.8], [0.0, 1.0]])
    assert found.tokens == 7


def test_without_indices_and_usage() -> None:
    data = [{"embedding": [3, 4]}, {"embedding": [1, 0]}]
    found = read_answer(json.dumps({"data": data}).encode(), 2)
    assert np.allclose(found.vectors, [[0.6, 0.8], [1.0, 0.0]])
    assert found.tokens is None


def test_tokens_that_nobody_can_have_used_are_not_billed() -> None:
    assert read_answer(answer([1, 2], usage={"prompt_tokens": -5}), 1).tokens is None
    assert read_answer(answer([1, 2], usage={"prompt_tokens": 2**40}), 1).tokens is None


@pytest.mark.parametrize(
    ("raw", "count", "code"),
    [
        (b"<html>", 1, "embedding_garbage"),
        (b'{"data": [{"embedding": [NaN, 1]}]}', 1, "embedding_garbage"),
        (b'{"data": [{"embedding": "AAAA"}]}', 1, "embedding_garbage"),
        (b'{"error": "no"}', 1, "embedding_garbage"),
        (b"[" * 100_000, 1, "embedding_garbage"),
        (b"\xff\xfe", 1, "embedding_garbage"),
        (b" " * (MOST_BYTES + 1), 1, "embedding_garbage"),
        (answer([1, 2]), 2, "embedding_count"),
        (answer([1, 2], [1, 2]), 1, "embedding_count"),
        (b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 0, "embedding": [1, 2]}]}', 2, "embedding_count"),
        (b'{"data": [{"index": 0, "embedding": [1, 2]}, {"embedding": [1, 2]}]}', 2, "embedding_count"),
        (answer([1, 2], [1]), 2, "embedding_length"),
        (answer([]), 1, "embedding_length"),
        (answer([1.0] * 9_000), 1, "embedding_length"),
        (answer([0, 0]), 1, "embedding_numbers"),
        (answer([1e308, 1e308]), 1, "embedding_numbers"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_answer_is_refused_by_name(raw: bytes, count: int, code: str) -> None:
    with pytest.raises(EmbeddingError) as failure:
        read_answer(raw, count)
    assert failure.value.code == code


def test_the_length_that_was_asked_for() -> None:
    with pytest.raises(EmbeddingError, match="instead of 3"):
        read_answer(answer([1, 2]), 1, 3)
    assert request_of("m", ["a"], 3) == {"model": "m", "input": ["a"], "encoding_format": "float", "dimensions": 3}
    assert "dimensions" not in request_of("m", ["a"], None)
