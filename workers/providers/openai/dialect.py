"""OpenAI's Chat Completions API, which most servers speak, and Azure's addresses and key header for it.

Sources: OpenAI API reference, "Create chat completion"; Azure OpenAI REST API reference, v1 and 2024-10-21.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from workers.providers.base import ListedModel
from workers.providers.http.answer_forms import response_format
from workers.providers.http.continuing import mark_unfinished
from workers.providers.http.dialect import Dialect, Fetch, Target, Wanted
from workers.providers.http.json_values import Report
from workers.providers.http.listing import parse_models
from workers.providers.openai.completion import CompletionReader
from workers.providers.openai.tools import choice_fields, function_tools, messages

AZURE_VERSION: Final = "2024-10-21"  # the newest stable one of addresses with deployments
NOT_DEPLOYED: Final = "Azure lists what can be deployed; enter the names of your deployments"


class OpenAIDialect(Dialect):
    """Chat Completions."""

    kind: ClassVar[str] = "openai_chat"
    name: ClassVar[str] = "OpenAI-compatible API"
    default_url: ClassVar[str] = "https://api.openai.com/v1"
    length_fields: ClassVar[tuple[str, ...]] = ("max_tokens", "max_completion_tokens")
    gives_logprobs: ClassVar[bool] = True

    def target(self, model: str, *, stream: bool) -> Target:
        return Target("chat/completions")

    def body(self, wanted: Wanted) -> dict[str, Any]:
        refused = wanted.refused
        body: dict[str, Any] = {
            "model": wanted.model,
            "messages": messages(wanted),
            "stream": wanted.stream,
        }
        if wanted.tools:
            body["tools"] = function_tools(wanted)
            body |= choice_fields(wanted)
        if wanted.stream and not refused("stream_options"):
            body["stream_options"] = {"include_usage": True}
        if wanted.temperature is not None:
            body["temperature"] = wanted.temperature
        if wanted.top_p is not None:
            body["top_p"] = wanted.top_p
        if wanted.max_tokens is not None:
            if not refused("max_tokens"):
                body["max_tokens"] = wanted.max_tokens
            elif not refused("max_completion_tokens"):
                body["max_completion_tokens"] = wanted.max_tokens
        if wanted.effort is not None and not wanted.refuses_effort("reasoning_effort"):
            body["reasoning_effort"] = wanted.effort
        if wanted.form is not None:
            body["response_format"] = response_format(wanted.form)
        if wanted.logprobs is not None:
            body["logprobs"] = True
            if wanted.logprobs:
                body["top_logprobs"] = wanted.logprobs
        if wanted.unfinished:
            mark_unfinished(body, wanted.unfinished)
        return body

    def reader(self, secrets: tuple[str, ...], report: Report) -> CompletionReader:
        return CompletionReader(secrets=secrets, report=report)


class AzureDialect(OpenAIDialect):
    """Chat Completions at Azure: its v1 addresses, and those with a deployment and an api-version."""

    kind: ClassVar[str] = "azure"
    name: ClassVar[str] = "Azure OpenAI"
    key_header: ClassVar[str] = "api-key"

    def __init__(self) -> None:
        self._query: dict[str, str] = {}
        self._path = "chat/completions"

    def base_url(self, address: str) -> str:
        """The resource's v1 address, unless the path is that of a deployment, or of the older addresses (`/openai`)."""
        path = urlsplit(address).path.rstrip("/")
        if path.endswith("/openai") or "/openai/deployments/" in path:
            self._query = {"api-version": AZURE_VERSION}
            self._path = "chat/completions" if "/deployments/" in path else "deployments/{}/chat/completions"
            return address
        return address if path else address + "/openai/v1"

    def default_query(self) -> dict[str, str]:
        return self._query

    def key_headers(self, key: str) -> dict[str, str]:
        return {"api-key": key}

    def target(self, model: str, *, stream: bool) -> Target:
        return Target(self._path.format(quote(model, safe="")))

    async def list_models(self, fetch: Fetch) -> list[ListedModel]:
        """The models of the resource. They are hidden, because only deployments can be asked, and none lists those."""
        listed = parse_models(await fetch(Target("models")))
        return [ListedModel(model.id, NOT_DEPLOYED, model.window) for model in listed]
