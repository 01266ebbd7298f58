"""Requests for embeddings and their answers, as OpenAI's API reference has them ("Create embeddings"). Pure.

vLLM, llama.cpp, Ollama, TEI, LM Studio, Mistral and others speak the same. Nothing of an answer is taken on trust: the
number of vectors, their order, their length and every number in them are checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:  # numpy is loaded where an embedding model is set up
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

MOST_BYTES: Final = 15 * 1024 * 1024  # of an answer: the transport reads no more than 16 MiB
LEAST_DIMENSIONS, GREATEST_DIMENSIONS = 2, 8_192


class EmbeddingError(Exception):
    """No vectors came. `code` is a code of `ProviderError` or one of this module's, `detail` is for the log and for
    staff; neither holds a key or a text.

    Codes: embedding_garbage (no answer of this API), embedding_count (other vectors than asked for), embedding_length
    (vectors of another length), embedding_numbers (not finite, or all zero), embedding_timeout, embedding_unavailable
    (its circuit breaker is open, or it cannot be used).
    """

    def __init__(self, code: str, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Embedded:
    """A vector of length 1 for each text, and how many tokens the texts were; None: the endpoint did not say."""

    vectors: Matrix
    tokens: int | None = None


class _Item(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Item]
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def request_of(model: str, texts: Sequence[str], dimensions: int | None) -> dict[str, Any]:
    """The body of a request."""
    body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "float"}
    return body if dimensions is None else {**body, "dimensions": dimensions}


def read_answer(raw: bytes, count: int, dimensions: int | None = None) -> Embedded:
    """The vectors of `count` texts, in their order. `dimensions`: the length that they must have. Raises
    `EmbeddingError`.
    """
    if len(raw) > MOST_BYTES:
        raise EmbeddingError("embedding_garbage", f"an answer of more than {MOST_BYTES} bytes")
    try:
        answer = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise EmbeddingError("embedding_garbage", "not an answer of the embeddings API") from None
    if len(answer.data) != count:
        raise EmbeddingError("embedding_count", f"{len(answer.data)} vectors for {count} texts")
    rows = _ordered(answer.data)
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or not LEAST_DIMENSIONS <= min(lengths) <= GREATEST_DIMENSIONS:
        raise EmbeddingError("embedding_length", f"vectors of {', '.join(map(str, sorted(lengths)))} numbers")
    if dimensions is not None and lengths != {dimensions}:
        raise EmbeddingError("embedding_length", f"vectors of {min(lengths)} numbers instead of {dimensions}")
    return Embedded(_normalised(rows), _tokens(answer.usage))


def _ordered(items: Sequence[_Item]) -> list[list[float]]:
    """The vectors in the order of their texts. Without indices they come in that order."""
    if all(item.index is None for item in items):
        return [item.embedding for item in items]
    by_index = {item.index: item.embedding for item in items}
    if set(by_index) != set(range(len(items))):
        raise EmbeddingError("embedding_count", "an index is missing or comes twice")
    return [by_index[at] for at in range(len(items))]


def _normalised(rows: Sequence[Sequence[float]]) -> Matrix:
    """Raises `EmbeddingError`."""
    import numpy as np

    wide = np.asarray(rows, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(wide, axis=1)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise EmbeddingError("embedding_numbers", "a vector is not finite, or all zero")
    vectors: Matrix = (wide / lengths[:, None]).astype(np.float32)
    return vectors


def _tokens(usage: _Usage | None) -> int | None:
    if usage is None:
        return None
    said = usage.prompt_tokens if usage.prompt_tokens is not None else usage.total_tokens
    return said if said is not None and 0 <= said < 2**31 else None
