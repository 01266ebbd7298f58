"""`/livez` and `/readyz`, answered before Django, so without host check, redirect, session and middleware.

`/livez` shows that the event loop runs. `/readyz` shows that this process can serve: it checks database, migrations,
its tables, Redis and a round trip through the channel layer, each with its own time limit, and that it is not draining.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import redis
import structlog
from channels.layers import get_channel_layer
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from accounts.lib.db import in_db
from accounts.lib.outage import is_lock_timeout
from accounts.lib.redis import PROBE, PROBE_SECONDS, async_redis, write_refusal

PATHS: Final = frozenset({"/livez", "/readyz"})
CHECK_SECONDS: Final = 2.0

logger = structlog.get_logger(__name__)
Send = Callable[[dict[str, Any]], Awaitable[None]]


class State:
    """The state of this process."""

    draining = False  # set by the server when it shuts down
    migrated = False  # checked until true, then cached
    probing = asyncio.Lock()
    probe_channel: str | None = None


async def application(scope: dict[str, Any], _receive: object, send: Send) -> None:
    """The ASGI application of both paths."""
    if scope["path"] == "/livez":
        await _answer(send, 200, {"status": "ok"})
        return
    wrong = await find_wrong()
    if wrong:
        status = "degraded" if wrong.keys() == {"tables"} else "unavailable"
        await _answer(send, 503, {"status": status, "wrong": wrong})
    else:
        await _answer(send, 200, {"status": "ok"})


async def find_wrong() -> dict[str, str]:
    """The failed checks, by name, each with the reason; empty when this process can serve."""
    if State.draining:
        return {"draining": "this process is stopping"}
    checks = {
        "database": _check_database(),
        "tables": _check_tables(),
        "redis": _check_redis(),
        "channel_layer": _check_channel_layer(),
    }
    results = await asyncio.gather(*(_limited(name, check) for name, check in checks.items()))
    wrong = dict(result for result in results if result is not None)
    if "database" in wrong:
        wrong.pop("tables", None)  # it says no more
    return wrong


async def _limited(name: str, check: Awaitable[str | None]) -> tuple[str, str] | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            said = await check
    except TimeoutError:
        said = f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 -- any error means that this process is not ready
        logger.warning("readiness_check_failed", check=name, error=str(error).strip())
        said = type(error).__name__
    return (name, said) if said else None


async def _check_database() -> str | None:
    return await in_db(_query_database)


def _query_database() -> str | None:
    if State.migrated:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return None
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return f"{len(missing)} migrations are not applied"
    State.migrated = True
    return None


async def _check_tables() -> str | None:
    return await in_db(_lock_tables) if State.migrated else None


def _lock_tables() -> str | None:
    """Takes the locks that a message needs, and releases them: a change of these tables may hold them for long."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', '1s', true)")
            cursor.execute("LOCK TABLE chat_conversation, chat_message, chat_run IN ROW EXCLUSIVE MODE")
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        return "locked: a migration or another change of the tables is under way"
    return None


async def _check_redis() -> str | None:
    """Writes: a full Redis and a replica answer, too."""
    try:
        await async_redis().set(*PROBE, ex=PROBE_SECONDS)
    except redis.ResponseError as error:
        if refused := write_refusal(error):
            return f"takes no writes: {refused}"
        raise
    return None


async def _check_channel_layer() -> str | None:
    """Sends a message to this process, on a channel kept for it: Channels has no call that removes a channel."""
    layer = get_channel_layer()
    async with State.probing:
        channel = State.probe_channel or await layer.new_channel()
        State.probe_channel = None  # a cancelled `receive` removes the channel
        word = secrets.token_hex(8)
        await layer.send(channel, {"type": "health.probe", "word": word})
        while (await layer.receive(channel)).get("word") != word:
            pass  # an older probe's message, or one of the layer
        State.probe_channel = channel
    return None


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    text = msgspec.json.encode(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
