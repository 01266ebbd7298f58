"""Which endpoint answers here: a configured one, else a local Ollama, else the demo model."""

from __future__ import annotations

import asyncio
import http.client
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from chat.catalog import OfferedModel, publish_models
from workers.providers.base import ChatModel
from workers.providers.breaker import Breaker, GuardedModel
from workers.providers.breaker import Endpoint as Guarded
from workers.providers.demo import DEMO_LABEL, DEMO_MODEL, DemoModel

PROBE_TIMEOUT: Final = 0.5  # seconds a local Ollama has to answer

# What of a long list is for chatting, and which of it to begin with when the operator did not say.
NO_CHAT: Final = (
    "audio", "babbage", "dall-e", "davinci", "embed", "image", "instruct", "moderation", "realtime", "rerank",
    "search", "sora", "transcribe", "tts", "whisper",
)  # fmt: skip
PREFERRED: Final = ("gpt-5-mini", "gpt-5", "gpt-4.1-mini", "gpt-4o-mini")

Kind = Literal["openai_chat", "demo"]


class Endpoint(NamedTuple):
    kind: Kind
    base_url: str
    local: bool  # an Ollama that was found, not configured


def find_endpoint() -> Endpoint:
    """Looks at the settings, then for an Ollama. Blocks for `PROBE_TIMEOUT` at the most.

    Raises `ImproperlyConfigured`, naming the setting, for an address that is none.
    """
    for name in ("OPENAI_BASE_URL", "OLLAMA_URL"):
        _check_address(name, getattr(settings, name))
    if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
        return Endpoint("openai_chat", settings.OPENAI_BASE_URL, local=False)
    if settings.OLLAMA_URL and _answers(settings.OLLAMA_URL):
        return Endpoint("openai_chat", settings.OLLAMA_URL.rstrip("/") + "/v1", local=True)
    return Endpoint("demo", "", local=False)


def endpoint_kind() -> Kind:
    return find_endpoint().kind


def open_model() -> ChatModel:
    """The endpoint's model, still to be opened (`await model.open()`) on the loop that will use it."""
    endpoint = find_endpoint()
    if endpoint.kind == "demo":
        return DemoModel(settings.DEMO_TOKENS_PER_SECOND)
    # Loading the package takes a second: only where a model is talked to, and before the first answer.
    from workers.providers.openai_chat import OpenAIChat

    key = "" if endpoint.local else settings.OPENAI_API_KEY
    chain = [
        Guarded(OpenAIChat(endpoint.base_url, key, names=settings.CHAT_MODELS), Breaker(settings.MODEL_RETRY_SECONDS))
    ]
    if settings.OPENAI_FALLBACK_BASE_URL:
        other = OpenAIChat(settings.OPENAI_FALLBACK_BASE_URL, settings.OPENAI_FALLBACK_API_KEY)
        chain.append(Guarded(other, Breaker(settings.MODEL_RETRY_SECONDS), model=settings.OPENAI_FALLBACK_MODEL))
    return GuardedModel(chain)


def describe() -> str:
    """One line on the model in use and how to change it, for the operator."""
    endpoint = find_endpoint()
    if endpoint.kind == "demo":
        return "demo model; set OPENAI_API_KEY or OPENAI_BASE_URL in .env, or start Ollama, for a real one"
    models = ", ".join(settings.CHAT_MODELS) or "the models it offers; CHAT_MODELS chooses"
    if endpoint.local:
        return f"Ollama at {_place(endpoint.base_url)} ({models})"
    return f"{_place(endpoint.base_url) or 'api.openai.com'} ({models})"


async def list_offered(model: ChatModel) -> list[OfferedModel]:
    """What people may choose from, the default first. Raises `ProviderError`."""
    names = await model.models()
    if names == [DEMO_MODEL]:
        return [OfferedModel(id=DEMO_MODEL, label=DEMO_LABEL)]
    if not settings.CHAT_MODELS:
        names = [name for name in names if not any(word in name.lower() for word in NO_CHAT)] or names
        names = sorted(names, key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED))
    return [OfferedModel(id=name, label=name) for name in names]


async def publish_offered(model: ChatModel) -> None:
    """Tells the web processes what `model` offers; to be done each minute. Raises `ProviderError` or a Redis error."""
    await asyncio.to_thread(publish_models, await list_offered(model))


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
