"""Anthropic's Messages API: how a request is written, and how models are listed.

Source: Anthropic API reference, "Create a Message", "List Models" and "Thinking"; version 2023-06-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from workers.providers.anthropic.reader import MessageReader
from workers.providers.anthropic.tools import may_think, messages, tool_fields
from workers.providers.base import Effort, ListedModel
from workers.providers.http.answer_forms import output_format
from workers.providers.http.continuing import PLAIN
from workers.providers.http.dialect import Dialect, Fetch, Target, Wanted
from workers.providers.http.json_values import Report, load_json, read_number, read_object
from workers.providers.http.listing import parse_models

# What every model and gateway knows. Staff may set a newer one, such as 2026-10-21, as an extra header.
VERSION: Final = "2023-06-01"
# The API requires a limit. A model that allows less refuses and names its own, which is then used (`learned.py`).
MAX_TOKENS: Final = 32_000
PAGE: Final = "1000"  # models in one page of a list
PAGES: Final = 10
# Tokens for thinking, for models without an effort; fewer than `MAX_TOKENS`, and at least 1024.
BUDGETS: Final = {"low": 2048, "medium": 8192, "high": 16_384}


class AnthropicDialect(Dialect):
    """The Messages API. It remembers the longest answers that the list of models names."""

    kind: ClassVar[str] = "anthropic"
    name: ClassVar[str] = "Anthropic Messages API"
    default_url: ClassVar[str] = "https://api.anthropic.com/v1"
    length_fields: ClassVar[tuple[str, ...]] = ("max_tokens",)
    length_optional: ClassVar[bool] = False
    continues: ClassVar[str] = PLAIN  # newer models, and those that think, refuse it, which is remembered
    key_header: ClassVar[str] = "x-api-key"
    takes_any_json: ClassVar[bool] = False

    def __init__(self) -> None:
        self._longest: dict[str, int] = {}

    def base_url(self, address: str) -> str:
        return (address if address.endswith("/v1") else f"{address}/v1") if address else self.default_url

    def key_headers(self, key: str) -> dict[str, str]:
        return {"x-api-key": key}

    def headers(self) -> dict[str, str]:
        return {"anthropic-version": VERSION}

    def target(self, model: str, *, stream: bool) -> Target:
        return Target("messages")

    def body(self, wanted: Wanted) -> dict[str, Any]:
        longest = wanted.max_tokens or self._longest.get(wanted.model, MAX_TOKENS)
        body: dict[str, Any] = {
            "model": wanted.model,
            "messages": messages(wanted),
            "max_tokens": longest,
            "stream": wanted.stream,
            **tool_fields(wanted),
        }
        if wanted.system:
            body["system"] = wanted.system
        body |= _thinking(wanted, longest)
        if wanted.form is not None:
            body["output_config"] = {**body.get("output_config", {}), "format": output_format(wanted.form)}
        if wanted.temperature is not None and "thinking" not in body:  # it has to be left out where the model thinks
            body["temperature"] = min(wanted.temperature, 1.0)
        if wanted.top_p is not None and "thinking" not in body:
            body["top_p"] = wanted.top_p
        return body

    def asks_effort(self, effort: Effort, fields: Mapping[str, Any]) -> bool:
        return effort == "none" or "thinking" in fields  # it only thinks where it is asked to

    def find_refused(self, words: str, sent: Mapping[str, Any]) -> str | None:
        if "thinking" not in sent or not any(word in words for word in ("thinking", "effort", "output_config")):
            return None
        return "adaptive" if sent["thinking"].get("type") == "adaptive" else "budget"

    def reader(self, secrets: tuple[str, ...], report: Report) -> MessageReader:
        return MessageReader(secrets=secrets, report=report)

    async def list_models(self, fetch: Fetch) -> list[ListedModel]:
        found: dict[str, ListedModel] = {}
        query = {"limit": PAGE}
        for _ in range(PAGES):
            raw = await fetch(Target("models", query))
            for model in parse_models(raw):
                found.setdefault(model.id, model)
            page = read_object(load_json(raw.decode(errors="replace")))
            self._note_longest(page.get("data"))
            last = page.get("last_id")
            if not page.get("has_more") or not isinstance(last, str):
                break
            query = {"limit": PAGE, "after_id": last}
        return list(found.values())

    def _note_longest(self, entries: object) -> None:
        for entry in entries if isinstance(entries, list) else ():
            longest = read_number(read_object(entry).get("max_tokens"))
            if longest is not None and longest > 0:
                self._longest[str(entry.get("id"))] = min(longest, MAX_TOKENS)


def _thinking(wanted: Wanted, longest: int) -> dict[str, Any]:
    """The fields for an effort: adaptive thinking, or a number of tokens for models without it."""
    if wanted.effort is None or wanted.effort == "none" or not may_think(wanted) or wanted.forced is not None:
        return {}
    if not wanted.refused("adaptive"):
        thinking: dict[str, Any] = {"type": "adaptive", "display": "summarized"}
        return {"thinking": thinking, "output_config": {"effort": wanted.effort}}
    budget = min(BUDGETS[wanted.effort], longest // 2)
    if wanted.refused("budget") or budget < 1024:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}
