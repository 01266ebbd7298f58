"""Ollama's own API: how a request is written, and what the models can do.

Source: Ollama's docs/api.md ("Generate a chat completion", "List Local Models", "Show Model Information", "List Running
Models"). It gives more than its OpenAI-compatible addresses: the context that is loaded (`num_ctx`), how long a model
stays loaded (`keep_alive`), and what each model can do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cachetools import LRUCache
from msgspec.structs import replace

from workers.providers.base import Effort, ListedModel, ProviderError
from workers.providers.http.dialect import Dialect, Fetch, Target, Wanted
from workers.providers.http.json_values import (
    Report,
    load_json,
    read_number,
    read_object,
    read_objects,
    read_text,
)
from workers.providers.http.listing import NO_LIST, read_model
from workers.providers.ollama.reader import ChatReader
from workers.providers.ollama.tools import message
from workers.providers.openai.tools import function_tools

DEFAULT_CONTEXT: Final = (
    4096  # tokens that Ollama loads where nothing says otherwise; longer prompts are cut in silence
)
SHOWN: Final = 500  # models whose details are remembered
AT_ONCE: Final = 4  # questions about models


class OllamaDialect(Dialect):
    """`/api/chat`. It remembers what Ollama says of its models. `num_ctx` is what every request asks to be loaded."""

    kind: ClassVar[str] = "ollama"
    name: ClassVar[str] = "Ollama API"
    default_url: ClassVar[str] = "http://127.0.0.1:11434"
    accept: ClassVar[str] = "application/x-ndjson"
    length_fields: ClassVar[tuple[str, ...]] = ("num_predict",)
    chooses_calls: ClassVar[bool] = False

    def __init__(self, num_ctx: int | None = None) -> None:
        self._num_ctx = num_ctx
        self._details: LRUCache[str, dict[str, Any]] = LRUCache(SHOWN)  # by digest

    def base_url(self, address: str) -> str:
        for end in ("/v1", "/api"):  # addresses of its compatible API, or with the folder of its own
            address = address.removesuffix(end)
        return address or self.default_url

    def target(self, model: str, *, stream: bool) -> Target:
        return Target("api/chat")

    def body(self, wanted: Wanted) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": wanted.model,
            "messages": [message(turn, wanted) for turn in wanted.turns],
            "stream": wanted.stream,
        }
        if wanted.tools:
            body["tools"] = function_tools(wanted)
        if wanted.form is not None:
            body["format"] = "json" if wanted.form.schema is None else wanted.form.schema
        options: dict[str, Any] = {}
        if wanted.temperature is not None:
            options["temperature"] = wanted.temperature
        if wanted.top_p is not None:
            options["top_p"] = wanted.top_p
        if wanted.max_tokens is not None and not wanted.refused("num_predict"):
            options["num_predict"] = wanted.max_tokens
        if options:
            body["options"] = options
        if wanted.effort is not None and not wanted.refused("think"):
            level = True if wanted.refused("think_level") else wanted.effort
            body["think"] = level if wanted.effort != "none" else False
        return body

    def fields(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**body, **read_object(body.get("options"))}

    def asks_effort(self, effort: Effort, fields: Mapping[str, Any]) -> bool:
        return effort == "none" or "think" in fields  # a model that refuses the field does not think

    def find_refused(self, words: str, sent: Mapping[str, Any]) -> str | None:
        """Few models take an effort; others only think or not, and the rest refuse to be asked."""
        if "think" not in sent or "think" not in words:
            return None
        return "think_level" if isinstance(sent["think"], str) and "does not support thinking" not in words else "think"

    def reader(self, secrets: tuple[str, ...], report: Report) -> ChatReader:
        return ChatReader(secrets=secrets, report=report)

    async def is_loading(self, fetch: Fetch, model: str) -> bool:
        """A model is not in memory, or was loaded with another context than the one that is asked for."""
        if (running := await self._running(fetch)) is None:
            return False
        name = model if model in running else f"{model}:latest"
        loaded = running.get(name)
        return name not in running or bool(loaded and self._num_ctx and loaded != self._num_ctx)

    async def list_models(self, fetch: Fetch) -> list[ListedModel]:
        page = load_json((await fetch(Target("api/tags"))).decode(errors="replace"))
        if not isinstance(page, dict) or not isinstance(page.get("models") or [], list):
            raise ProviderError("upstream_garbage", NO_LIST)
        entries = [entry for entry in read_objects(page.get("models")) if read_text(entry.get("name"))]
        running = await self._running(fetch) or {}
        turns = asyncio.Semaphore(AT_ONCE)
        details = await asyncio.gather(*(self._show(fetch, entry, turns) for entry in entries))
        models = (self._read(entry, found, running) for entry, found in zip(entries, details, strict=True))
        return [model for model in models if model is not None]

    async def _running(self, fetch: Fetch) -> dict[str, int | None] | None:
        """The contexts of the models in memory by name, in tokens (None: not said). None: Ollama has no such list."""
        try:
            page = read_object(load_json((await fetch(Target("api/ps"))).decode(errors="replace")))
        except ProviderError:
            return None
        loaded = read_objects(page.get("models"))
        return {str(one.get("name")): read_number(one.get("context_length")) for one in loaded}

    async def _show(self, fetch: Fetch, entry: dict[str, Any], turns: asyncio.Semaphore) -> dict[str, Any]:
        """What Ollama says of a model, which it is asked once for each version of it."""
        name, digest = str(entry["name"]), str(entry.get("digest") or entry["name"])
        if digest not in self._details:
            async with turns:
                try:
                    raw = await fetch(Target("api/show"), {"model": name})
                except ProviderError:
                    return {}  # the model is offered all the same
            self._details[digest] = read_object(load_json(raw.decode(errors="replace")))
        return self._details[digest]

    def _read(
        self, entry: dict[str, Any], shown: dict[str, Any], running: Mapping[str, int | None]
    ) -> ListedModel | None:
        info = read_object(shown.get("model_info"))
        trained = next((read_number(value) for key, value in info.items() if key.endswith(".context_length")), None)
        loaded = running.get(entry["name"]) or self._num_ctx or _parameter(shown.get("parameters"), "num_ctx")
        window = min(loaded or DEFAULT_CONTEXT, trained or loaded or DEFAULT_CONTEXT)
        able = shown.get("capabilities")
        model = read_model({"id": entry["name"], "capabilities": able, "context_length": window})
        complete = isinstance(able, list) and "completion" in able  # then it names all that the model can do
        return replace(model, tools=False) if model and complete and model.tools is None else model


def _parameter(lines: object, name: str) -> int | None:
    """A number among the lines of a model's parameters (`num_ctx    8192`)."""
    for line in str(lines or "").splitlines():
        key, _, value = line.strip().partition(" ")
        if key == name:
            return read_number(value.strip())
    return None
