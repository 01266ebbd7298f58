"""The models of endpoints, embedding models, judges and search providers."""

from workers.models.embedders import Embedder
from workers.models.endpoints import (
    SMALLEST_WINDOW,
    Endpoint,
    EndpointKind,
    EndpointModel,
    ExtrasModel,
    ModelFact,
    Prefill,
    Use,
)
from workers.models.judges import AwayPolicy, Judge, JudgedCategory, JudgeKind, JudgeMode
from workers.models.search import SearchKind, SearchProvider

__all__ = [
    "SMALLEST_WINDOW",
    "AwayPolicy",
    "Embedder",
    "Endpoint",
    "EndpointKind",
    "EndpointModel",
    "ExtrasModel",
    "Judge",
    "JudgeKind",
    "JudgeMode",
    "JudgedCategory",
    "ModelFact",
    "Prefill",
    "SearchKind",
    "SearchProvider",
    "Use",
]
