"""The configuration of the embedding model, as a worker uses it."""

from __future__ import annotations

from dataclasses import dataclass

from workers.providers.config import Definition


@dataclass(frozen=True, slots=True)
class EmbedderDefinition:
    """A worker treats equal definitions as the same embedding model, which keeps its connections and circuit breaker.

    `key` names what vectors depend on (`workers.models.Embedder.key`). `dimensions` is what is asked for; None: as the
    model makes them. `seconds` is how long a question waits for its vector. `trouble` is why it cannot be asked at all;
    empty: it can.
    """

    id: str
    key: str
    name: str
    model: str
    endpoint: Definition
    dimensions: int | None = None
    passage_prefix: str = ""
    question_prefix: str = ""
    least_similarity: float = 0.3
    seconds: float = 2.0
    trouble: str = ""
