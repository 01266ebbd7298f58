"""The models of endpoints and judges."""

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

__all__ = [
    "SMALLEST_WINDOW",
    "AwayPolicy",
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
    "Use",
]
