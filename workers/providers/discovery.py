"""Which endpoints answer here: those of the environment, else a local Ollama, and those that staff have set up.

With neither, the demo model answers. What the environment names comes first; an Ollama that was only found comes last.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from accounts.lib.redis import async_redis
from chat.catalog.offered_models import DEMO_LABEL, DEMO_MODEL, KEY, OfferedModel, publish_models
from workers.providers.base import ChatModel
from workers.providers.config import ClientKind, Definition
from workers.providers.demo import DemoModel
from workers.providers.router import ModelRouter, Offer

PROBE_TIMEOUT: Final = 0.5  # seconds a local Ollama has to answer
LIST_TIMEOUT: Final = 2.0  # seconds that endpoints have to list their models before those of the others are published


class Found(NamedTuple):
    kind: ClientKind
    base_url: str
    local: bool  # an Ollama that was found, not configured


def find_endpoint() -> Found:
    """Looks at the settings, then for an Ollama. Blocks for `PROBE_TIMEOUT` at the most.

    Raises `ImproperlyConfigured`, naming the setting, for an address that is none.
    """
    for name in ("OPENAI_BASE_URL", "OPENAI_FALLBACK_BASE_URL", "OLLAMA_URL"):
        _check_address(name, getattr(settings, name))
    if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
        return Found("openai_chat", settings.OPENAI_BASE_URL, local=False)
    if settings.OLLAMA_URL and _answers(settings.OLLAMA_URL):
        return Found("openai_chat", settings.OLLAMA_URL.rstrip("/") + "/v1", local=True)
    return Found("demo", "", local=False)


class Environment:
    """The endpoints that need no row, as they were when this was made."""

    def __init__(self) -> None:
        found = find_endpoint()
        self.kind = found.kind
        names = tuple((name, name) for name in settings.CHAT_MODELS)
        self.first: list[Definition] = []
        self.last: list[Definition] = []
        if found.kind == "demo":
            return
        standby = bool(settings.OPENAI_FALLBACK_BASE_URL)
        main = Definition(
            id="ollama" if found.local else "environment",
            name="Ollama" if found.local else "the environment's",
            base_url=found.base_url,
            api_key="" if found.local else settings.OPENAI_API_KEY,
            models=names,
            fallback="environment-fallback" if standby else "",
            fallback_model=settings.OPENAI_FALLBACK_MODEL,
        )
        (self.last if found.local else self.first).append(main)
        if standby:
            self.last.append(
                Definition(
                    id="environment-fallback",
                    name="the environment's second",
                    base_url=settings.OPENAI_FALLBACK_BASE_URL,
                    api_key=settings.OPENAI_FALLBACK_API_KEY,
                    offered=False,
                )
            )

    def with_rows(self, rows: Sequence[Definition]) -> list[Definition]:
        """All endpoints in order; the demo where nobody has set up anything to choose from."""
        found = [*self.first, *rows, *self.last]
        if not any(one.offered for one in found):
            found.append(Definition(id=DEMO_MODEL, name="demo", kind="demo", models=((DEMO_MODEL, DEMO_LABEL),)))
        return found


def open_router(rows: Sequence[Definition] = ()) -> ModelRouter:
    """The endpoints of the environment and of `rows`, still to be opened (`await router.open()`) on the loop that will
    use them.
    """
    router = ModelRouter(make_client, settings.MODEL_RETRY_SECONDS)
    router.set_endpoints(Environment().with_rows(rows))
    return router


def make_client(definition: Definition) -> ChatModel:
    """What talks to an endpoint."""
    if definition.kind == "demo":
        return DemoModel(settings.DEMO_TOKENS_PER_SECOND)
    # Loading the package takes a second: only where a model is talked to, and before the first answer.
    from workers.providers.openai.client import OpenAIChat

    return OpenAIChat(definition.base_url, definition.api_key, timeouts=definition.timeouts, strict=definition.strict)


def describe() -> str:
    """One line on the environment's model and how to change it, for the operator."""
    endpoint = find_endpoint()
    if endpoint.kind == "demo":
        return "demo model; set OPENAI_API_KEY or OPENAI_BASE_URL in .env, or start Ollama, for a real one"
    models = ", ".join(settings.CHAT_MODELS) or "the models it offers; CHAT_MODELS chooses"
    if endpoint.local:
        return f"Ollama at {_place(endpoint.base_url)} ({models})"
    return f"{_place(endpoint.base_url) or 'api.openai.com'} ({models})"


async def publish_offered(router: ModelRouter) -> None:
    """Asks the endpoints for their models and tells the web processes; to be done each minute.

    An endpoint that this worker could never ask keeps what another worker published of it. Raises `ProviderError` when
    nothing is known of any, or a Redis error.
    """
    router.set_published(decode_published(await async_redis().get(KEY)))
    looking = asyncio.ensure_future(router.models())
    await asyncio.wait({looking}, timeout=LIST_TIMEOUT)
    if not looking.done() and router.catalog:  # the others need not wait for one that hangs
        await asyncio.to_thread(publish_models, router.catalog)
    await looking
    await asyncio.to_thread(publish_models, router.catalog)


_decode = msgspec.json.Decoder(list[Offer]).decode


def decode_published(raw: bytes | str | None) -> dict[str, list[OfferedModel]]:
    """What was published last (under `chat.catalog.offered_models.KEY`), by endpoint."""
    found: dict[str, list[OfferedModel]] = {}
    try:
        for offer in _decode(raw) if raw else []:
            found.setdefault(offer["endpoint"], []).append(OfferedModel(id=offer["id"], label=offer["label"]))
    except msgspec.MsgspecError:
        pass  # of a version that did not say whose it is
    return found


def _check_address(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        valid = False
    if not valid:  # the value stays out of the sentence: there may be a password in it
        raise ImproperlyConfigured(f"{name}: this is not an address such as http://127.0.0.1:8080/v1")


def _place(url: str) -> str:
    """Host and port of an address, without what else may be in it."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2]


def _answers(url: str) -> bool:
    """Whether an Ollama is there (its API's `GET /api/version`)."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return False
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 11434, timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", "/api/version")
        response = connection.getresponse()
        return response.status == 200 and b'"version"' in response.read(1000)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
