"""The connection test of an endpoint, done by a worker, because workers are what will send requests to it.

The admin asks for it by `chat.jobs.worker_replies`. Of what the endpoint itself says, the result has at most
`SAID_CHARS`, with the key and parts of it masked.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from typing import Final

import msgspec
from django.conf import settings
from django.utils.translation import gettext

from accounts.lib.db import in_db
from accounts.lib.texts import gettext_noop
from chat.jobs.queues import GENERATE_QUEUE
from chat.jobs.worker_replies import NoReplyError, is_awaited, request_reply, send_reply
from workers.endpoints.service import define
from workers.models import Endpoint
from workers.providers import discovery
from workers.providers.base import ChatModel, ChatTurn, ListedModel, Options, ProviderError
from workers.providers.config import Definition
from workers.providers.kinds import KIND_NAMES
from workers.providers.selection import select_offered
from workers.providers.url_policy import REFUSED

TASK: Final = "workers.tasks.test_endpoint"
TEST_SECONDS: Final = 20.0  # for the whole test, so that the page does not wait for ever
WAIT_SECONDS: Final = 25.0
LIST_REASONS: Final = frozenset(
    {"HTTP 401", "HTTP 403", "HTTP 404", "HTTP 405", "HTTP 501"}
)  # chats may work all the same
SYSTEM_PROMPT: Final = "You are a helpful assistant."  # where none is set: chats have one, too
SAID_CHARS: Final = 500
QUESTION: Final = "Say hello in one word."


class ConnectionTestResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of a test. `message` is for staff, times are in milliseconds, `models` is how many it lists."""

    passed: bool
    message: str
    code: str = ""
    models: int | None = None
    model: str = ""
    listed_ms: int | None = None
    first_token_ms: int | None = None


_decode = msgspec.json.Decoder(ConnectionTestResult).decode


def request_connection_test(endpoint_id: uuid.UUID) -> ConnectionTestResult:
    """Has a worker test the endpoint as it is saved. Blocks for up to `WAIT_SECONDS`; raises nothing."""
    return ask_worker(TASK, endpoint_id, gettext_noop("The endpoint was not tested."))


def ask_worker(task: str, tested_id: uuid.UUID, undone: str, queue: str = GENERATE_QUEUE) -> ConnectionTestResult:
    """Has a worker carry out a test, which it gives the id and `answer_page` the result of. `undone` is a marked
    sentence about a test that did not happen. Blocks for up to `WAIT_SECONDS`; raises nothing.
    """
    try:
        return _decode(request_reply(task, [str(tested_id)], undone, seconds=WAIT_SECONDS, queue=queue))
    except NoReplyError as failure:
        message = failure.sentence
        if failure.code == "no_answer":
            message = gettext("No worker took the test within %(seconds)s s: all of them are busy.") % {
                "seconds": f"{WAIT_SECONDS:g}"
            }
        return ConnectionTestResult(False, message, code=failure.code)


async def answer_request(endpoint_id: uuid.UUID, reply_to: str) -> None:
    """The worker's side of `request_connection_test`. Does nothing when the requester no longer waits."""
    if not await is_awaited(reply_to):
        return
    definition = await in_db(_find, endpoint_id)
    if definition is None:
        result = ConnectionTestResult(False, "This endpoint has been deleted.", code="gone")
    else:
        result = await run_connection_test(definition)
    await answer_page(reply_to, result)


async def answer_page(reply_to: str, result: ConnectionTestResult) -> None:
    """Gives the result of a test to who waits for it."""
    await send_reply(reply_to, msgspec.json.encode(result))


def _find(endpoint_id: uuid.UUID) -> Definition | None:
    row = Endpoint.objects.filter(pk=endpoint_id).prefetch_related("models").first()
    return None if row is None else define(row)


async def run_connection_test(definition: Definition) -> ConnectionTestResult:
    """Lists the endpoint's models and waits for the first token of an answer. Raises nothing."""
    if definition.trouble:
        return ConnectionTestResult(False, f"{definition.trouble} Enter it again.", code="unreadable_key")
    limits = definition.timeouts
    limits = replace(limits, connect=min(limits.connect, 5.0), total=min(limits.total, TEST_SECONDS))
    chat = discovery.make_client(replace(definition, timeouts=limits))
    try:
        async with asyncio.timeout(TEST_SECONDS):
            return await _run(chat, definition)
    except ProviderError as failure:
        return ConnectionTestResult(False, explain(failure, definition), code=failure.code)
    except TimeoutError:
        message = f"The endpoint did not respond within {TEST_SECONDS:g} s."
        return ConnectionTestResult(False, message, code="upstream_timeout")
    finally:
        await chat.close()


async def _run(chat: ChatModel, definition: Definition) -> ConnectionTestResult:
    started = time.monotonic()
    listed: list[str] | None = None
    models: list[ListedModel] = []
    note = ""
    try:
        models = await chat.list_models()
        listed = [model.id for model in models]
    except ProviderError as failure:
        if not definition.models or failure.reason not in LIST_REASONS:
            raise
        note = f" It does not list its models ({failure.reason}); those entered here are offered."
    listed_ms = _ms(started)
    names = [name for name, _ in definition.models]
    names = names or [model.id for model in select_offered(models, definition)]
    if models and not names:
        message = "None of the models that the endpoint lists is for chatting. Show one of them here, or enter one."
        return ConnectionTestResult(False, message, code="no_model", models=len(models))
    if not names:
        message = "The endpoint responds but lists no models. Load one there, or enter one here."
        return ConnectionTestResult(False, message, code="no_model", models=0)
    missing = [name for name in names if listed is not None and name not in listed]
    requested = time.monotonic()
    await _wait_for_first_token(chat, names[0])
    first_token_ms = _ms(requested)
    if listed is not None:
        count = "1 model" if len(listed) == 1 else f"{len(listed)} models"
        note = f" It lists {count} ({listed_ms} ms)."
    if missing:
        note += f" Not in its list: {', '.join(missing)}."
    return ConnectionTestResult(
        passed=True,
        message=f"It works: {names[0]} started to answer after {first_token_ms} ms.{note}",
        models=None if listed is None else len(listed),
        model=names[0],
        listed_ms=None if listed is None else listed_ms,
        first_token_ms=first_token_ms,
    )


async def _wait_for_first_token(chat: ChatModel, model: str) -> None:
    """Returns at the first token of a request like those of chats. That closes the connection, so little is billed.

    Raises `ProviderError` also for an answer without text, such as a call of a tool.
    """
    turns = [ChatTurn("system", settings.SYSTEM_PROMPT or SYSTEM_PROMPT), ChatTurn("user", QUESTION)]
    async with chat.stream(model, turns, options=Options(wait_for_loading=False)) as batches:
        async for chunks in batches:
            if any(chunk.text or chunk.reasoning for chunk in chunks):
                return


def _ms(since: float) -> int:
    return int((time.monotonic() - since) * 1000)


def explain(failure: ProviderError, definition: Definition) -> str:
    """Why the endpoint does not work, and what it said, for the staff who can fix it."""
    said = failure.said[:SAID_CHARS]
    request = f" Its id of the request: {failure.request_id}." if failure.request_id else ""
    return _reason(failure, definition) + (f" It said: {said}" if said else "") + request


def _reason(failure: ProviderError, definition: Definition) -> str:
    place = definition.place
    by_reason = {
        "name": f"The workers cannot resolve the host name {place.partition(':')[0]}.",
        "refused": f"Connection refused by {place}. Is the server running, and is the port correct?",
        "connect": f"The workers cannot reach {place}: the connection timed out.",
        "tls": f"No secure connection to {place}: its certificate is not valid, or it does not support TLS.",
        "address": REFUSED,
        "redirects": f"{place} redirects in a circle. Enter the address of the API itself.",
        "HTTP 401": f"The endpoint {'rejected the' if definition.api_key else 'requires an'} API key (401).",
        "HTTP 403": "The API key has no permission for this (403).",
    }
    if failure.reason in by_reason:
        return by_reason[failure.reason]
    if failure.code == "upstream_garbage":
        api = "an OpenAI-compatible API" if definition.kind == "openai_chat" else f"the {KIND_NAMES[definition.kind]}"
        return f"{place} responds, but not as {api}."
    if failure.code == "model_not_found":
        return "The endpoint does not have the first model of this list."
    if failure.reason == "HTTP 404":
        hint = " The address often ends in /v1." if definition.kind.startswith("openai") else ""
        return f"There is no such API at {definition.base_url} (404).{hint}"
    if failure.reason.startswith("HTTP 3"):
        return f"The endpoint redirects to another address ({failure.reason}). Enter that address instead."
    return f"{failure.message} ({failure.reason or failure.code})"
