"""The test of a search provider from its page: a worker searches with the saved settings."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from accounts.lib.texts import gettext_noop
from chat.jobs.queues import TOOLS_QUEUE
from chat.jobs.worker_replies import is_awaited
from workers.endpoints.connection_test import ConnectionTestResult, answer_page, ask_worker
from workers.models import SearchProvider
from workers.tools.base import ToolError

if TYPE_CHECKING:
    from workers.tools.search.providers import SearchDefinition

TASK: Final = "workers.tasks.test_search"
QUERY: Final = "weather"
UNREADABLE: Final = "The key cannot be decrypted. Enter it again."


def request_search_test(provider_id: uuid.UUID) -> ConnectionTestResult:
    """Has a worker search with the provider as it is saved. Blocks for some seconds; raises nothing."""
    return ask_worker(TASK, provider_id, gettext_noop("The search provider was not tested."), TOOLS_QUEUE)


async def answer_request(provider_id: uuid.UUID, reply_to: str) -> None:
    """The worker's side of `request_search_test`. Does nothing when the requester no longer waits."""
    if not await is_awaited(reply_to):
        return
    try:
        definition = await in_db(_find, provider_id)
    except UnreadableError:
        result = ConnectionTestResult(False, UNREADABLE, code="unusable")
    else:
        if definition is None:
            result = ConnectionTestResult(False, "This search provider has been deleted.", code="gone")
        else:
            result = await run_search_test(definition)
    await answer_page(reply_to, result)


def _find(provider_id: uuid.UUID) -> SearchDefinition | None:
    from workers.tools.search.service import define  # web processes import this module, and search nothing

    row = SearchProvider.objects.filter(pk=provider_id).first()
    return None if row is None else define(row)


async def run_search_test(definition: SearchDefinition) -> ConnectionTestResult:
    """Searches once. Raises nothing."""
    from workers.tools.search.service import ask  # as above

    began = time.monotonic()
    try:
        found = await ask(definition, QUERY)
    except ToolError as error:
        return ConnectionTestResult(False, error.sentence, code="search_failed")
    ms = int((time.monotonic() - began) * 1000)
    if not found:
        return ConnectionTestResult(False, f"It answered, but found nothing for “{QUERY}”. Does it ask any engines?")
    message = f"It works: {len(found)} results for “{QUERY}” in {ms} ms, the first from {found[0].url[:200]}."
    return ConnectionTestResult(True, message)
