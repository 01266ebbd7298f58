"""Asks the search providers that staff set up."""

from __future__ import annotations

import structlog

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from workers.models import SearchProvider
from workers.tools.base import Source, ToolError
from workers.tools.fetching import fetch
from workers.tools.search.providers import SearchDefinition, SearchError, request_of, results_of

NOT_SET_UP = "The web cannot be searched: no search provider is set up."

logger = structlog.get_logger(__name__)


def define(row: SearchProvider) -> SearchDefinition:
    """The provider with its key. Raises `UnreadableError`."""
    return SearchDefinition(row.name, row.kind, row.url, row.read_key(), row.results, row.price)


def load_providers() -> list[SearchDefinition]:
    """The enabled providers in their order, without those whose key cannot be decrypted."""
    found = []
    for row in SearchProvider.objects.filter(enabled=True).order_by("position", "created_at"):
        try:
            found.append(define(row))
        except UnreadableError:
            logger.exception("search_key_unreadable", provider=row.name)
    return found


async def ask(definition: SearchDefinition, query: str) -> list[Source]:
    """The results of one provider. Raises `ToolError`, whose sentence names no address."""
    return results_of(definition, await fetch(request_of(definition, query)))


async def search(query: str) -> tuple[list[Source], SearchDefinition]:
    """The results of the first provider that gives some, and that provider. Raises `ToolError`."""
    providers = await in_db(load_providers)
    if not providers:
        raise ToolError(NOT_SET_UP)
    failure: ToolError | None = None
    for provider in providers:
        try:
            return await ask(provider, query), provider
        except ToolError as error:
            logger.warning("search_failed", provider=provider.name, error=error.sentence, detail=error.detail)
            failure = error
    assert failure is not None
    if isinstance(failure, SearchError):
        raise failure
    raise ToolError("The search provider cannot be reached right now.") from None
