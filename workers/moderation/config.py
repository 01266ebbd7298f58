"""The configuration of one judge, as a worker uses it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from chat.models.moderation import Action, Category, Direction, Severity
from workers.providers.config import Definition

BackendKind = Literal["openai", "guard", "json"]
Mode = Literal["before", "parallel"]


@dataclass(frozen=True, slots=True)
class CategoryPolicy:
    """What happens to a text of which a category's score is at least `threshold`.

    `closed`: while the judge gives no verdict, texts are refused; else they are let through, and judged later.
    """

    category: Category
    threshold: float
    action: Action
    severity: Severity
    closed: bool = False


@dataclass(frozen=True, slots=True)
class JudgeDefinition:
    """A worker treats equal definitions as the same judge, which keeps its connections and its circuit breaker.

    `mode` is of what is asked: the model's request waits for the verdict, or only its first words do. `seconds` is how
    long a question waits for it, `behind_seconds` how long the judgement of an answer may take. `notice` is what the
    person reads; empty: a general sentence. `trouble` is why it cannot be asked at all; empty: it can.
    """

    id: str
    name: str
    version: int
    backend: BackendKind
    model: str
    endpoint: Definition
    directions: frozenset[Direction]
    mode: Mode = "before"
    seconds: float = 1.5
    behind_seconds: float = 10.0
    notice: str = ""
    policies: tuple[CategoryPolicy, ...] = field(default=())
    trouble: str = ""

    @property
    def closed(self) -> tuple[CategoryPolicy, ...]:
        """The categories for which texts are refused while it gives no verdict."""
        return tuple(policy for policy in self.policies if policy.closed)
