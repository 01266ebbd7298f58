"""How each kind of provider is asked, and what it answers. Pure.

Sources: SearXNG's documentation ("Search API"), Brave's API reference ("Web Search"), Tavily's ("Search").
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from accounts.lib.urls import is_http, split_url
from workers.models.search import SearchKind
from workers.providers.address_policy import ENDPOINTS
from workers.tools.base import Source, ToolError
from workers.tools.fetching import Fetched, FetchRequest

MAX_BYTES: Final = 2_000_000
SECONDS: Final = 15.0
TITLE_CHARS: Final = 200
PASSAGE_CHARS: Final = 600
JSON: Final = "application/json"
NO_RESULTS: Final = (
    "The search provider did not answer with results. Is its address right, and the format JSON allowed?"
)
_STATUSES: Final[Mapping[int, str]] = {
    401: "The search provider refuses the key.",
    402: "The search provider has no credit left.",
    403: "The search provider refuses the request: its key, or the format JSON, is not allowed.",
    404: "There is no search at the provider's address.",
    429: "The search provider takes no more searches for now.",
    432: "The search provider has no credit left.",
}


class SearchError(ToolError):
    """Why a provider gave no results."""


@dataclass(frozen=True, slots=True)
class SearchDefinition:
    """A provider as a worker asks it. `price` is of one search, in US dollars."""

    name: str
    kind: str
    url: str
    key: str
    results: int
    price: Decimal


class _Result(msgspec.Struct):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    description: str | None = None


class _Web(msgspec.Struct):
    results: list[_Result] = []


class _Answer(msgspec.Struct):
    results: list[_Result] | None = None
    web: _Web | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def request_of(definition: SearchDefinition, query: str) -> FetchRequest:
    """The request of a search."""
    headers = {"Accept": JSON}
    parameters: dict[str, Any] = {"q": query}
    body = None
    match definition.kind:
        case SearchKind.BRAVE:
            parameters["count"] = definition.results
            headers["X-Subscription-Token"] = definition.key
        case SearchKind.TAVILY:
            headers |= {"Authorization": f"Bearer {definition.key}", "Content-Type": JSON}
            body = json.dumps({"query": query, "max_results": definition.results}).encode()
        case _:
            parameters["format"] = "json"
            if definition.key:
                headers["Authorization"] = f"Bearer {definition.key}"
    url = definition.url if body is not None else f"{definition.url}?{urlencode(parameters)}"
    return FetchRequest(
        url, "GET" if body is None else "POST", headers, body, max_bytes=MAX_BYTES, seconds=SECONDS, redirects=0,
        policy=ENDPOINTS,
    )  # fmt: skip


def results_of(definition: SearchDefinition, answer: Fetched) -> list[Source]:
    """The results, each address once, at most as many as are set. Raises `SearchError`."""
    if answer.status != 200:
        raise SearchError(_STATUSES.get(answer.status, "The search provider failed."), detail=f"HTTP {answer.status}")
    try:
        found = _decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        raise SearchError(NO_RESULTS, detail=answer.media_type) from None
    results = found.web.results if found.web is not None else found.results
    if results is None:
        if definition.kind != SearchKind.BRAVE:  # Brave leaves out what has no results
            raise SearchError(NO_RESULTS)
        results = []
    return list(_sources(results))[: definition.results]


def _sources(results: Iterable[_Result]) -> Iterable[Source]:
    seen = set()
    for result in results:
        url = (result.url or "").strip()
        if url in seen or not _is_address(url):
            continue
        seen.add(url)
        passage = clean(result.content or result.description or "")[:PASSAGE_CHARS]
        yield Source(clean(result.title or "")[:TITLE_CHARS] or url[:TITLE_CHARS], url, passage)


def _is_address(url: str) -> bool:
    try:
        return len(url) <= 2000 and is_http(split_url(url)) and not re.search(r"[\s<>\"]", url)
    except ValueError:
        return False


def clean(text: str) -> str:
    """Text of a result in one line: without tags, entities and control characters."""
    text = html.unescape(re.sub(r"<[^<>]{0,200}>", "", text[:10_000]))
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
