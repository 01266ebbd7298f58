"""Which endpoints a worker uses: those of the environment, else a local Ollama, and those set up in the admin.

Without any of them the demo model answers. Endpoints of the environment come first, a discovered Ollama comes last.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from accounts.lib.redis import async_redis, sync_redis
from chat.catalog.offered_models import (
    DEMO_LABEL,
    DEMO_MODEL,
    KEY,
    PUBLISHED_SECONDS,
    PublishedModel,
    publish_models,
)
from workers.providers.base import ChatModel, ListedModel
from workers.providers.config import ClientKind, Definition
from workers.providers.demo import DemoModel
from workers.providers.extras import read_extras
from workers.providers.kinds import KIND_NAMES, make_http_client, resolve_kind
from workers.providers.model_facts import ModelFacts
from workers.providers.router import ModelRouter, Offer

PROBE_TIMEOUT: Final = 0.5  # seconds to wait for a local Ollama
MAX_LISTED: Final = 2000  # models of one endpoint that the admin shows
LIST_TIMEOUT: Final = 2.0  # seconds to wait for slow endpoints before the models of the others are published


class Found(NamedTuple):
    kind: ClientKind
    base_url: str
    local: bool  # an Ollama that was discovered, not configured


def find_endpoint() -> Found:
    """The endpoint of the settings, else a local Ollama, else the demo model. Blocks for up to `PROBE_TIMEOUT`.

    Raises `ImproperlyConfigured` with the setting's name for an invalid address.
    """
    names = ("OPENAI_BASE_URL", "OPENAI_FALLBACK_BASE_URL", "ANTHROPIC_BASE_URL", "GEMINI_BASE_URL", "OLLAMA_URL")
    for name in names:
        _check_address(name, getattr(settings, name))
    if configured := _configured():
        return Found(configured[0].kind, configured[0].base_url, local=False)
    if settings.OLLAMA_URL and (kind := _find_ollama(settings.OLLAMA_URL)):
        address = settings.OLLAMA_URL.rstrip("/")
        return Found(kind, address if kind == "ollama" else f"{address}/v1", local=True)
    return Found("demo", "", local=False)


def _configured() -> list[Definition]:
    """The endpoints of the settings, the main one first, without models and fallback.

    Raises `ImproperlyConfigured` with the setting's name.
    """
    found: list[Definition] = []
    if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
        try:
            extras, model_extras = read_extras(settings.OPENAI_EXTRAS or "{}")
        except ValueError as error:
            raise ImproperlyConfigured(f"OPENAI_EXTRAS: {error}") from None
        found.append(
            Definition(
                id="environment",
                name="environment",
                kind=resolve_kind(settings.OPENAI_KIND, settings.OPENAI_BASE_URL),
                base_url=settings.OPENAI_BASE_URL,
                api_key=settings.OPENAI_API_KEY,
                extras=extras,
                model_extras=tuple(model_extras.items()),
            )
        )
    others: list[tuple[ClientKind, str, str]] = [
        ("anthropic", settings.ANTHROPIC_BASE_URL, settings.ANTHROPIC_API_KEY),
        ("gemini", settings.GEMINI_BASE_URL, settings.GEMINI_API_KEY),
    ]
    for kind, address, key in others:
        if key:
            name = "environment" if not found else f"environment-{kind}"
            found.append(Definition(id=name, name=name, kind=kind, base_url=address, api_key=key))
    return found


class Environment:
    """The endpoints that are not rows in the admin, as found when this object is created."""

    def __init__(self) -> None:
        found = find_endpoint()
        self.kind = found.kind
        names = tuple((name, name) for name in settings.CHAT_MODELS)
        self.first: list[Definition] = []
        self.last: list[Definition] = []
        if found.kind == "demo":
            return
        standby = bool(settings.OPENAI_FALLBACK_BASE_URL)
        main, *others = _configured() or [
            Definition(id="ollama", name="Ollama", kind=found.kind, base_url=found.base_url)
        ]
        main = replace(
            main,
            models=names,
            prefill="" if found.local else settings.OPENAI_PREFILL,
            fallback="environment-fallback" if standby else "",
            fallback_model=settings.OPENAI_FALLBACK_MODEL,
        )
        (self.last if found.local else self.first).extend([main, *others])
        if standby:
            self.last.append(
                Definition(
                    id="environment-fallback",
                    name="environment (fallback)",
                    kind=resolve_kind(settings.OPENAI_FALLBACK_KIND, settings.OPENAI_FALLBACK_BASE_URL),
                    base_url=settings.OPENAI_FALLBACK_BASE_URL,
                    api_key=settings.OPENAI_FALLBACK_API_KEY,
                    offered=False,
                )
            )

    def with_rows(self, rows: Sequence[Definition]) -> list[Definition]:
        """All endpoints in order, with the demo model when none of them offers models."""
        found = [*self.first, *rows, *self.last]
        if not any(one.offered for one in found):
            found.append(Definition(id=DEMO_MODEL, name="demo", kind="demo", models=((DEMO_MODEL, DEMO_LABEL),)))
        return found


def open_router(rows: Sequence[Definition] = ()) -> ModelRouter:
    """A router for the endpoints of the environment and of `rows`. Open it on the loop that will use it."""
    router = ModelRouter(make_client, settings.MODEL_RETRY_SECONDS)
    router.set_endpoints(Environment().with_rows(rows))
    return router


def make_client(definition: Definition, facts: ModelFacts | None = None) -> ChatModel:
    """The client of an endpoint. `facts` keeps what its models refuse."""
    if definition.kind == "demo":
        return DemoModel(settings.DEMO_TOKENS_PER_SECOND)
    return make_http_client(definition, facts)


def describe(*, others_serve: bool = False) -> str:
    """One line for the operator about the environment's model and how to change it. `others_serve`: endpoints of the
    admin offer models, so the demo model is not offered.
    """
    endpoint = find_endpoint()
    if endpoint.kind == "demo":
        if others_serve:
            return "no endpoint; those of the admin serve all models"
        return "demo model; set OPENAI_API_KEY or OPENAI_BASE_URL in .env, or start Ollama, for a real one"
    models = ", ".join(settings.CHAT_MODELS) or "the models it offers; CHAT_MODELS chooses"
    if endpoint.local:
        return f"Ollama at {_place(endpoint.base_url)} ({models})"
    first, *others = _configured()
    line = f"{first.place} ({models})"
    if first.kind != "openai_chat":
        line += f", {KIND_NAMES[first.kind]}"
    return "; ".join([line, *(one.place for one in others)])


async def publish_offered(router: ModelRouter) -> None:
    """Requests the endpoints' lists of models and publishes them for the web processes; to be called every minute.

    The models that another worker published for an endpoint are kept while this worker has not reached it yet. Raises
    `ProviderError` when no endpoint's models are known, or a Redis error.
    """
    router.set_published(decode_published(await async_redis().get(KEY)))
    refresh = asyncio.ensure_future(router.models())
    await asyncio.wait({refresh}, timeout=LIST_TIMEOUT)
    if not refresh.done() and router.catalog:  # the others do not wait for a slow one
        await asyncio.to_thread(publish_models, router.catalog)
    await refresh
    await asyncio.to_thread(publish_models, router.catalog)
    await _publish_listed(router)


async def _publish_listed(router: ModelRouter) -> None:
    """Publishes everything that the endpoints of the admin list, for the admin. Raises a Redis error."""
    async with async_redis().pipeline(transaction=False) as pipe:
        for member in router.members.values():
            if member.definition.strict and member.listed is not None:
                body = msgspec.json.encode(member.listed[:MAX_LISTED])
                pipe.set(listed_key(member.definition.id), body, ex=PUBLISHED_SECONDS)
        await pipe.execute()


def listed_key(endpoint: str) -> str:
    return f"{KEY}:listed:{endpoint}"


_decode_listed = msgspec.json.Decoder(list[ListedModel]).decode


def read_listed(endpoint: str) -> list[ListedModel] | None:
    """What an endpoint of the admin lists; None while no worker knows. Sync. Raises a Redis error."""
    raw = sync_redis().get(listed_key(endpoint))
    assert raw is None or isinstance(raw, bytes)
    return None if raw is None else _decode_listed(raw)


_decode = msgspec.json.Decoder(list[Offer]).decode


def decode_published(raw: bytes | str | None) -> dict[str, list[PublishedModel]]:
    """The models that were published last (under `chat.catalog.offered_models.KEY`), by endpoint."""
    found: dict[str, list[PublishedModel]] = {}
    try:
        for offer in _decode(raw) if raw else []:
            model = PublishedModel(**{name: value for name, value in offer.items() if name != "endpoint"})  # type: ignore[typeddict-item]
            found.setdefault(offer["endpoint"], []).append(model)
    except msgspec.MsgspecError:
        pass  # published by a version without the endpoint field
    return found


def _check_address(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        valid = False
    if not valid:  # the value is not in the message, because it may hold a password
        raise ImproperlyConfigured(f"{name}: not a valid address such as http://127.0.0.1:8080/v1")


def _place(url: str) -> str:
    """Host and port of an address."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2]


def _find_ollama(url: str) -> ClientKind | None:
    """The API to use with an Ollama that responds there: its own, or the compatible one of what only passes for one.

    None: nothing there does (`GET /api/version`).
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return None
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 11434, timeout=PROBE_TIMEOUT)
    try:
        if b'"version"' not in _read(connection, "/api/version"):
            return None
        return "ollama" if b'"models"' in _read(connection, "/api/tags") else "openai_chat"
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _read(connection: http.client.HTTPConnection, path: str) -> bytes:
    """The beginning of a good answer's body; empty for another one."""
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read(1000)
    connection.close()  # the rest may be long; the next request opens it again
    return body if response.status == 200 else b""
