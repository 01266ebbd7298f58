"""The configuration of an endpoint, from the environment or from the admin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from django.conf import settings

from workers.providers.url_policy import endpoint_name

ClientKind = Literal["openai_chat", "openai_responses", "azure", "anthropic", "gemini", "ollama", "demo"]

DEFAULT_PLACES: Final[dict[str, str]] = {  # of an endpoint without an address
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
    "ollama": "127.0.0.1:11434",
}


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
class Extras:
    """What staff add to every request: headers (perhaps secret), query, and fields of the body.

    `workers.providers.extras` says which names are allowed.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    def with_model(self, model: Extras | None) -> Extras:
        """Together with those of a model, which count more."""
        if model is None:
            return self
        return Extras(
            {**self.headers, **model.headers}, {**self.query, **model.query}, merge_fields(self.body, model.body)
        )


NO_EXTRAS: Final = Extras()


def merge_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both objects in one; objects within them are merged likewise, and of other values the second one counts."""
    merged = dict(first)
    for name, value in second.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = merge_fields(before, value) if both else value  # type: ignore[arg-type]  # `both` says so
    return merged


@dataclass(frozen=True, slots=True)
class Definition:
    """The configuration of one endpoint. A worker treats equal definitions as the same endpoint.

    `id`        the id of its row, or a name for one of the environment
    `models`    (id, label) of the models it serves; empty: those it lists
    `offered`   whether users may choose its models; else it is only a fallback
    `shown`, `hidden`  names of listed models that staff decided to offer, or not to
    `fallback`  the id of the endpoint to use while this one is down; `fallback_model` is its model (empty: the same)
    `model_timeouts`  (id, timeouts) of models with timeouts of their own
    `extras`    what is added to every request; `model_extras` (id, extras) of models with some of their own
    `windows`   (id, tokens) of models whose context window staff set
    `tools`     (id, yes or no) of models of which staff said whether they call tools
    `prefill`   how it is asked to go on with an answer (`http/continuing.py`); empty: by its address
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
    extras: Extras = NO_EXTRAS
    model_extras: tuple[tuple[str, Extras], ...] = ()
    windows: tuple[tuple[str, int], ...] = ()
    tools: tuple[tuple[str, bool], ...] = ()
    prefill: str = ""
    strict: bool = False
    trouble: str = ""

    @property
    def connection(self) -> tuple[object, ...]:
        """What its client is made from. While this is unchanged, the client and its connections are kept."""
        return (
            self.id, self.kind, self.base_url, self.api_key, self.timeouts, self.model_timeouts, self.extras,
            self.model_extras, self.prefill, self.strict,
        )  # fmt: skip

    @property
    def host(self) -> str:
        """The name of its server, as prices and the usage ledger use it; empty: the demo model."""
        return "" if self.kind == "demo" else self.ledger_name

    @property
    def public_name(self) -> str:
        """What users see: the name that staff gave it. Addresses of the environment are not shown."""
        return "Main endpoint" if self.id == "environment" else self.name

    @property
    def ledger_name(self) -> str:
        """The name of its server in the usage ledger."""
        return endpoint_name(self.base_url.strip() or f"https://{DEFAULT_PLACES.get(self.kind, 'api.openai.com')}")

    @property
    def place(self) -> str:
        """Host and port of its address; empty: the demo model."""
        if self.kind == "demo":
            return ""
        return urlsplit(self.base_url).netloc.rpartition("@")[2] or DEFAULT_PLACES.get(self.kind, "api.openai.com")
