"""The Gemini API: how a request is written, and how models are listed.

Source: Gemini API reference, "Generating content" and "Models" (v1beta). Gemini's OpenAI-compatible addresses need no
dialect of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from workers.providers.base import Effort, ListedModel, ProviderError
from workers.providers.gemini.reader import GeminiReader
from workers.providers.gemini.tools import contents, tool_fields
from workers.providers.http.answer_forms import response_fields
from workers.providers.http.dialect import Dialect, Fetch, Target, Wanted
from workers.providers.http.json_values import Report, load_json, read_number, read_object, read_objects, read_text
from workers.providers.http.listing import NO_LIST, read_model

PAGE: Final = "1000"
PAGES: Final = 10
BUDGETS: Final = {"low": 1024, "medium": 8192, "high": 24_576}  # tokens for thinking, for models without levels


class GeminiDialect(Dialect):
    """`generateContent`. It remembers which models the list calls thinking ones."""

    kind: ClassVar[str] = "gemini"
    name: ClassVar[str] = "Gemini API"
    default_url: ClassVar[str] = "https://generativelanguage.googleapis.com/v1beta"
    length_fields: ClassVar[tuple[str, ...]] = ("maxOutputTokens",)
    key_header: ClassVar[str] = "x-goog-api-key"

    def __init__(self) -> None:
        self._thinking: set[str] = set()

    def base_url(self, address: str) -> str:
        if not address:
            return self.default_url
        return address if urlsplit(address).path else f"{address}/v1beta"

    def key_headers(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    def target(self, model: str, *, stream: bool) -> Target:
        path = model if "/" in model else f"models/{model}"  # tuned models are named tunedModels/…
        method = "streamGenerateContent" if stream else "generateContent"
        return Target(f"{quote(path, safe='/')}:{method}", {"alt": "sse"} if stream else {})

    def body(self, wanted: Wanted) -> dict[str, Any]:
        body: dict[str, Any] = {"contents": contents(wanted), **tool_fields(wanted)}
        if wanted.system:
            body["systemInstruction"] = {"parts": [{"text": wanted.system}]}
        config: dict[str, Any] = {}
        if wanted.temperature is not None:
            config["temperature"] = wanted.temperature
        if wanted.top_p is not None:
            config["topP"] = wanted.top_p
        if wanted.max_tokens is not None and not wanted.refused("maxOutputTokens"):
            config["maxOutputTokens"] = wanted.max_tokens
        if thinking := self._think(wanted):
            config["thinkingConfig"] = thinking
        if wanted.form is not None:
            config |= response_fields(wanted)
        if config:
            body["generationConfig"] = config
        return body

    def _think(self, wanted: Wanted) -> dict[str, Any]:
        known = wanted.effort is not None or wanted.model in self._thinking
        if not known or wanted.refused("thinkingConfig"):
            return {}
        if wanted.effort == "none" and not wanted.refused("thinkingOff"):
            return {"thinkingBudget": 0}
        config: dict[str, Any] = {"includeThoughts": True}
        if wanted.effort is not None and wanted.effort != "none":
            if not wanted.refused("thinkingLevel"):
                config["thinkingLevel"] = wanted.effort
            elif not wanted.refused("thinkingBudget"):
                config["thinkingBudget"] = BUDGETS[wanted.effort]
        return config

    def fields(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**body, **read_object(body.get("generationConfig"))}

    def asks_effort(self, effort: Effort, fields: Mapping[str, Any]) -> bool:
        config = read_object(fields.get("thinkingConfig"))
        return "thinkingLevel" in config or "thinkingBudget" in config

    def find_refused(self, words: str, sent: Mapping[str, Any]) -> str | None:
        if "tools" in sent and ("thought_signature" in words or "thought signature" in words):
            return "thoughtSignature"  # of calls that another model made
        config = read_object(sent.get("thinkingConfig"))
        if not config or not ("think" in words or "budget" in words):
            return None
        if config.get("thinkingBudget") == 0:
            return "thinkingOff"  # the model always thinks
        return next((name for name in ("thinkingLevel", "thinkingBudget") if name in config), "thinkingConfig")

    def reader(self, secrets: tuple[str, ...], report: Report) -> GeminiReader:
        return GeminiReader(secrets=secrets, report=report)

    async def list_models(self, fetch: Fetch) -> list[ListedModel]:
        found: list[ListedModel] = []
        query = {"pageSize": PAGE}
        for _ in range(PAGES):
            page = load_json((await fetch(Target("models", query))).decode(errors="replace"))
            if not isinstance(page, dict) or not isinstance(page.get("models") or [], list):
                raise ProviderError("upstream_garbage", NO_LIST)
            models = [self._read(entry) for entry in read_objects(page.get("models"))]
            found += [model for model in models if model is not None]
            following = page.get("nextPageToken")
            if not isinstance(following, str) or not following:
                break
            query = {"pageSize": PAGE, "pageToken": following}
        return found

    def _read(self, entry: dict[str, Any]) -> ListedModel | None:
        name = (read_text(entry.get("name")) or "").removeprefix("models/")
        thinks = entry.get("thinking") is True
        methods = entry.get("supportedGenerationMethods")
        found: dict[str, Any] = {"id": name, "max_input_tokens": read_number(entry.get("inputTokenLimit"))}
        if isinstance(methods, list) and "generateContent" not in methods:
            found["mode"] = "embedding" if any("embed" in str(one).lower() for one in methods) else "image"
        if thinks:
            found["capabilities"] = ["thinking"]
            self._thinking.add(name)
        return read_model(found)
