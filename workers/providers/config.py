"""What there is to know of an endpoint before it is asked, from the environment or from the admin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings

ClientKind = Literal["openai_chat", "demo"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect; from the request to the first byte of the answer; between bytes; for all of it."""

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
    """An endpoint. Two that are equal are one and the same to a worker.

    `id`        of its row, or a word for one of the environment
    `models`    (id, label) of the models it serves; empty: what it lists
    `offered`   whether people may choose its models; else it only stands in for others
    `fallback`  the id of the endpoint to ask while this one is down, `fallback_model` what for (empty: the same)
    `strict`    set up in the admin: addresses of clouds' own services are refused and redirects not followed
    `trouble`   why it cannot be asked at all, for the operator; empty: it can
    """

    id: str
    name: str
    kind: ClientKind = "openai_chat"
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    models: tuple[tuple[str, str], ...] = ()
    offered: bool = True
    fallback: str = ""
    fallback_model: str = ""
    timeouts: Timeouts = field(default_factory=Timeouts.from_settings)
    strict: bool = False
    trouble: str = ""

    @property
    def connection(self) -> tuple[object, ...]:
        """What it takes to talk to it. While that stays, connections and streams do."""
        return (self.id, self.kind, self.base_url, self.api_key, self.timeouts, self.strict)

    @property
    def place(self) -> str:
        """Host and port, without what else may be in the address."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2] or "api.openai.com"
