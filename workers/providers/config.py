"""The configuration of an endpoint, from the environment or from the admin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings

ClientKind = Literal["openai_chat", "demo"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect; from the request to the first byte of the answer; between bytes; for the whole answer."""

    connect: float
    first_chunk: float
    idle: float
    total: float

    @classmethod
    def from_settings(cls) -> Timeouts:
        return cls(
            connect=settings.MODEL_CONNECT_TIMEOUT,
            first_chunk=settings.MODEL_FIRST_CHUNK_TIMEOUT,
            idle=settings.MODEL_IDLE_TIMEOUT,
            total=settings.MODEL_TOTAL_TIMEOUT,
        )


@dataclass(frozen=True, slots=True)
class Definition:
    """The configuration of one endpoint. A worker treats equal definitions as the same endpoint.

    `id`        the id of its row, or a name for one of the environment
    `models`    (id, label) of the models it serves; empty: those it lists
    `offered`   whether users may choose its models; else it is only a fallback
    `shown`, `hidden`  names of listed models that staff decided to offer, or not to
    `fallback`  the id of the endpoint to use while this one is down; `fallback_model` is its model (empty: the same)
    `model_timeouts`  (id, timeouts) of models with timeouts of their own
    `prefill`   how it is asked to go on with an answer (`openai/continuing.py`); empty: by its address
    `strict`    set up in the admin: addresses of cloud metadata services are refused, redirects are not followed
    `trouble`   why it cannot be used at all, for the operator; empty: it can be used
    """

    id: str
    name: str
    kind: ClientKind = "openai_chat"
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    models: tuple[tuple[str, str], ...] = ()
    offered: bool = True
    shown: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    fallback: str = ""
    fallback_model: str = ""
    timeouts: Timeouts = field(default_factory=Timeouts.from_settings)
    model_timeouts: tuple[tuple[str, Timeouts], ...] = ()
    prefill: str = ""
    strict: bool = False
    trouble: str = ""

    @property
    def connection(self) -> tuple[object, ...]:
        """What its client is made from. While this is unchanged, the client and its connections are kept."""
        return (
            self.id, self.kind, self.base_url, self.api_key, self.timeouts, self.model_timeouts, self.prefill,
            self.strict,
        )  # fmt: skip

    @property
    def place(self) -> str:
        """Host and port of its address."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2] or "api.openai.com"
