"""Whether an endpoint answers: asked by a worker, the machine and the program that will ask it for people.

Staff's page puts a job into the queue of answers and waits for the reply at a list in Redis. What comes back is made of
sentences of ours: what an endpoint says may hold the key it was sent.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from dataclasses import replace
from typing import Final

import msgspec
import redis
from celery import current_app

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis, sync_redis
from chat.jobs.dispatch import GENERATE_QUEUE, BrokerAway
from chat.jobs.worker_heartbeats import living_workers
from workers.endpoints.service import define
from workers.models import Endpoint
from workers.providers import discovery
from workers.providers.base import ChatModel, ChatTurn, ProviderError
from workers.providers.config import Definition
from workers.providers.router import for_chatting
from workers.providers.url_policy import REFUSED

TASK: Final = "workers.tasks.test_endpoint"
TRIAL_SECONDS: Final = 20.0  # for all of it, so that a page does not wait for ever
WAIT_SECONDS: Final = 25.0
QUESTION: Final = "Say hello in one word."


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a test found. `said` is for staff; times are milliseconds; `models` is how many it lists."""

    passed: bool
    said: str
    code: str = ""
    models: int | None = None
    model: str = ""
    listed_ms: int | None = None
    first_word_ms: int | None = None


_decode = msgspec.json.Decoder(Trial).decode


def ask_worker(endpoint_id: uuid.UUID) -> Trial:
    """Has a worker test the endpoint as it is saved. Blocks for `WAIT_SECONDS` at the most and raises nothing."""
    try:
        if not any(not heart.draining for heart in living_workers()):
            return Trial(False, "No worker is alive, so nobody could ask. Start `manage.py worker`.", code="no_worker")
        reply_to = f"trial:{secrets.token_urlsafe(16)}"
        # Not by an expiry of the job, which a worker would judge by its own clock.
        sync_redis().set(_waiting(reply_to), b"1", px=int(WAIT_SECONDS * 1000))
        current_app.send_task(
            TASK, args=[str(endpoint_id), reply_to], queue=GENERATE_QUEUE, retry=False, ignore_result=True
        )
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if found := sync_redis().blpop([reply_to], timeout=1):
                return _decode(found[1])
    except (redis.RedisError, BrokerAway):
        return Trial(False, "Redis cannot be reached, so no worker could be asked.", code="no_redis")
    return Trial(False, f"No worker took the test up within {WAIT_SECONDS:g} s: they are all busy.", code="no_answer")


async def answer(endpoint_id: uuid.UUID, reply_to: str) -> None:
    """A worker's side of `ask_worker`. Asks nothing when nobody waits for it any more."""
    if not await async_redis().exists(_waiting(reply_to)):
        return
    row = await in_db(_find, endpoint_id)
    trial = await try_endpoint(row) if row is not None else Trial(False, "This endpoint was deleted.", code="gone")
    async with async_redis().pipeline(transaction=True) as pipe:
        pipe.rpush(reply_to, msgspec.json.encode(trial))
        pipe.expire(reply_to, int(WAIT_SECONDS))
        await pipe.execute()


def _waiting(reply_to: str) -> str:
    return f"{reply_to}:waiting"


def _find(endpoint_id: uuid.UUID) -> Definition | None:
    row = Endpoint.objects.filter(pk=endpoint_id).prefetch_related("models").first()
    return None if row is None else define(row)


async def try_endpoint(definition: Definition) -> Trial:
    """Lists its models and waits for the first word of an answer. Raises nothing."""
    if definition.trouble:
        return Trial(False, f"{definition.trouble} Enter it again.", code="unreadable_key")
    limits = definition.timeouts
    limits = replace(limits, connect=min(limits.connect, 5.0), total=min(limits.total, TRIAL_SECONDS))
    chat = discovery.make_client(replace(definition, timeouts=limits))
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            return await _try(chat, definition)
    except ProviderError as failure:
        return Trial(False, explain(failure, definition), code=failure.code)
    except TimeoutError:
        said = f"It did not answer within {TRIAL_SECONDS:g} s."
        return Trial(False, said, code="upstream_timeout")
    finally:
        await chat.close()


async def _try(chat: ChatModel, definition: Definition) -> Trial:
    began = time.monotonic()
    listed: list[str] | None = None
    note = ""
    try:
        listed = await chat.models()
    except ProviderError as failure:
        if not definition.models or failure.reason != "HTTP 404":
            raise
        note = " It does not list its models; those named here are offered."
    listed_ms = _ms(began)
    names = [name for name, _ in definition.models] or for_chatting(listed or [])
    if not names:
        return Trial(False, "It answers, and lists no model. Load one there, or name it here.", "no_model", 0)
    missing = [name for name in names if listed is not None and name not in listed]
    asked = time.monotonic()
    await _first_word(chat, names[0])
    first_word_ms = _ms(asked)
    if listed is not None:
        count = "1 model" if len(listed) == 1 else f"{len(listed)} models"
        note = f" It lists {count} ({listed_ms} ms)."
    if missing:
        note += f" Not in its list: {', '.join(missing)}."
    said = f"It works: {names[0]} began to answer after {first_word_ms} ms.{note}"
    count_of = None if listed is None else len(listed)
    return Trial(True, said, "", count_of, names[0], None if listed is None else listed_ms, first_word_ms)


async def _first_word(chat: ChatModel, model: str) -> None:
    """Leaves as soon as something came: that closes the connection, and little is billed."""
    async with chat.stream(model, [ChatTurn("user", QUESTION)]) as batches:
        async for chunks in batches:
            if any(chunk.text or chunk.reasoning for chunk in chunks):
                return


def _ms(since: float) -> int:
    return int((time.monotonic() - since) * 1000)


def explain(failure: ProviderError, definition: Definition) -> str:
    """Why it does not work, for who can mend it."""
    place = definition.place
    by_reason = {
        "name": f"There is no such name where the workers run: {place.partition(':')[0]}.",
        "refused": f"Nobody listens at {place} (connection refused). Is the server up, and the port right?",
        "connect": f"{place} cannot be reached from the workers (no connection in time).",
        "tls": f"No secure connection with {place}: its certificate is not valid, or it speaks no TLS.",
        "address": REFUSED,
        "HTTP 401": "It does not accept the key (401)." if definition.api_key else "It wants a key (401).",
        "HTTP 403": "The key may not do this (403).",
    }
    if failure.reason in by_reason:
        return by_reason[failure.reason]
    if failure.code == "upstream_garbage":
        return f"Something answers at {place}, but not as an OpenAI-compatible API."
    if failure.code == "model_not_found":
        return "It does not know the model that is named first here."
    if failure.reason == "HTTP 404":
        return f"There is no such API at {definition.base_url} (404). The address often ends in /v1."
    if failure.reason.startswith("HTTP 3"):
        return f"It sends us to another address ({failure.reason}), which is not followed. Enter that one."
    return f"{failure.message} ({failure.reason or failure.code})"
