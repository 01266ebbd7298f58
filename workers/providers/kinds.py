"""The kinds of APIs: how each is named, found from an address, and made into a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlsplit

from workers.providers.base import ChatModel
from workers.providers.config import ClientKind, Definition
from workers.providers.http.json_values import read_number
from workers.providers.model_facts import ModelFacts

if TYPE_CHECKING:
    from workers.providers.http.dialect import Dialect

AUTO: Final = "auto"  # found from the address
KIND_NAMES: Final[dict[ClientKind, str]] = {
    "openai_chat": "OpenAI-compatible chat completions",
    "openai_responses": "OpenAI Responses API",
    "azure": "Azure OpenAI",
    "anthropic": "Anthropic Messages API",
    "gemini": "Gemini API",
    "ollama": "Ollama API",
}
KEY_HEADERS: Final[dict[ClientKind, str]] = {
    "openai_chat": "Authorization",
    "openai_responses": "Authorization",
    "azure": "api-key",
    "anthropic": "x-api-key",
    "gemini": "x-goog-api-key",
    "ollama": "Authorization",
}
_AZURE: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_OLLAMA_PORT: Final = 11434


def detect_kind(address: str) -> ClientKind:
    """The kind of the API at an address, where its host, port or path tell; else that of OpenAI-compatible APIs."""
    try:
        parts = urlsplit(address.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "openai_chat"
    path = parts.path.rstrip("/")
    compatible = path.endswith(("/v1", "/openai", "/v1beta/openai")) and not host.endswith(_AZURE)
    if host.endswith(_AZURE):
        return "azure"
    if host == "api.anthropic.com":
        return "anthropic"
    if host == "generativelanguage.googleapis.com" and not compatible:
        return "gemini"
    if port == _OLLAMA_PORT and not compatible:
        return "ollama"
    return "openai_chat"


def resolve_kind(kind: str, address: str) -> ClientKind:
    """`kind`, or what the address tells where it is `AUTO`."""
    return kind if kind in get_args(ClientKind) else detect_kind(address)  # type: ignore[return-value]  # checked


def make_http_client(definition: Definition, facts: ModelFacts | None = None) -> ChatModel:
    """The client of an endpoint over HTTP. `facts` keeps what its models refuse."""
    # Importing the transport takes a second, so only processes that use a model do, before the first answer.
    from workers.providers.http.client import HttpChat

    return HttpChat(
        make_dialect(definition),
        definition.base_url,
        definition.api_key,
        timeouts=definition.timeouts,
        model_timeouts=dict(definition.model_timeouts),
        extras=definition.extras,
        model_extras=dict(definition.model_extras),
        strict=definition.strict,
        prefill=definition.prefill,
        facts=facts,
    )


def make_dialect(definition: Definition) -> Dialect:
    """The dialect of an endpoint. It takes a second to import."""
    from workers.providers.anthropic.dialect import AnthropicDialect
    from workers.providers.gemini.dialect import GeminiDialect
    from workers.providers.ollama.dialect import OllamaDialect
    from workers.providers.openai.dialect import AzureDialect, OpenAIDialect
    from workers.providers.responses.dialect import ResponsesDialect

    match definition.kind:
        case "openai_responses":
            return ResponsesDialect()
        case "azure":
            return AzureDialect()
        case "anthropic":
            return AnthropicDialect()
        case "gemini":
            return GeminiDialect()
        case "ollama":
            loaded = definition.extras.body.get("options")
            return OllamaDialect(read_number(loaded.get("num_ctx")) if isinstance(loaded, dict) else None)
        case _:
            return OpenAIDialect()
