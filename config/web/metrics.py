"""`/metrics`: for this machine, or for clients with METRICS_TOKEN. Answered before Django, like `config.web.health`.

Web processes that share a port each answer some of the scrapes, so that counters seem to jump. They, and workers,
which have no HTTP server, can each have a port of their own: WEB_METRICS_PORT and WORKER_METRICS_PORT.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import django.db
import redis
import structlog
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, ThreadingWSGIServer, generate_latest

from accounts.lib.db import QueryTimeoutError, release_connections, statement_timeout
from accounts.lib.outage import OUTAGE
from accounts.lib.redis import PROBE, PROBE_SECONDS, sync_redis, write_refusal
from chat.dashboard.tool_figures import TOOL_GAUGES, read_tool_gauges
from chat.jobs.queues import BrokerAway, queue_lengths
from chat.jobs.worker_heartbeats import Heartbeat, living_workers
from chat.models import PeriodicJob, QueuedMessage, QueuedState
from chat.moderation.stats import queue_figures, unjudged_figures
from chat.telemetry import exposition, metrics
from config.web.upkeep_gauges import DISK_GAUGES, UPKEEP_GAUGES, disk_gauges, upkeep_gauges
from workers.runtime.beat_lease import beat_owner

PATH: Final = "/metrics"
SHARED_SECONDS: Final = 2.0
FROM_REDIS: Final = ("workers", "endpoint_up", "beat", "redis_writable", "redis_memory_used")
FROM_BROKER: Final = ("queue_jobs", "queue_length")
PURGE_GAUGES: Final = ("purge_backlog", "purge_overdue_seconds", "purge_age_seconds")
FROM_POSTGRESQL: Final = (
    "cases_open", "oldest_case_seconds", "unjudged_texts", "queued_messages", *TOOL_GAUGES, *PURGE_GAUGES,
    *UPKEEP_GAUGES,
)  # fmt: skip
FORWARDED: Final = ("x-forwarded-for", "x-real-ip", "forwarded", "via")

logger = structlog.get_logger(__name__)
Send = Callable[[dict[str, Any]], Awaitable[None]]


def may_read(client: str, headers: Mapping[str, str]) -> bool:
    """Whether the client may read the metrics: with METRICS_TOKEN if it is set, else from this machine directly."""
    token: str = settings.METRICS_TOKEN
    if token:
        shown = headers.get("authorization", "")
        return secrets.compare_digest(shown.encode(), f"Bearer {token}".encode())
    if any(name in headers for name in FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    return address.is_loopback or bool(address.version == 6 and address.ipv4_mapped and address.ipv4_mapped.is_loopback)


def read_shared_gauges() -> None:
    """Reads the gauges common to all processes from Redis into `metrics.shared`; removes them if Redis fails."""
    try:
        hearts = living_workers()
        found: dict[str, float | Mapping[str, float]] = {
            "workers": float(len(hearts)),
            "endpoint_up": _endpoints_up(hearts),
            "beat": float(bool(beat_owner())),
            **_redis_state(),
        }
    except (redis.RedisError, ValueError) as error:
        logger.warning("shared_metrics_not_read", error=type(error).__name__)
        found = {}
    _share(FROM_REDIS, found)


def read_queue_gauges() -> None:
    """Reads the gauges about waiting jobs from the broker, likewise; none where it does not count them."""
    found: dict[str, float | Mapping[str, float]] = {}
    try:
        if lengths := queue_lengths():
            found["queue_jobs"] = float(sum(lengths.values()))
            found["queue_length"] = {kind: float(length) for kind, length in lengths.items()}
    except (redis.RedisError, BrokerAway) as error:
        logger.warning("queues_not_counted", error=type(error).__name__)
    _share(FROM_BROKER, found)


def read_case_gauges() -> None:
    """Reads the gauges about moderation's cases, waiting lines and tools from PostgreSQL, likewise."""
    try:
        with statement_timeout(SHARED_SECONDS / 2):
            queue, unjudged = queue_figures(), unjudged_figures()
            waiting = QueuedMessage.objects.filter(state=QueuedState.WAITING).count()
            tools = read_tool_gauges()
        found: dict[str, float | Mapping[str, float]] = {
            "cases_open": float(queue.open),
            "oldest_case_seconds": queue.oldest_seconds,
            "unjudged_texts": float(unjudged.open),
            "queued_messages": float(waiting),
            **tools,
            **_purge_gauges(),
            **upkeep_gauges(),
        }
    except (django.db.Error, QueryTimeoutError, *OUTAGE) as error:  # also: not migrated yet
        logger.warning("case_metrics_not_read", error=type(error).__name__)
        found = {}
    finally:
        release_connections()
    _share(FROM_POSTGRESQL, found)


def _endpoints_up(hearts: Iterable[Heartbeat]) -> dict[str, float]:
    """By endpoint: 1 if a worker can use it, else 0."""
    up: dict[str, float] = {}
    for heart in hearts:
        for state in heart.endpoints:
            up[state.name] = max(up.get(state.name, 0.0), float(state.is_up))
    return up


def _redis_state() -> dict[str, float]:
    """Whether Redis takes writes, and how full it is, from 0 to 1, if its memory has a limit."""
    try:
        sync_redis().set(*PROBE, ex=PROBE_SECONDS)
        found = {"redis_writable": 1.0}
    except redis.ResponseError as error:
        if not write_refusal(error):
            raise
        found = {"redis_writable": 0.0}
    memory: Any = sync_redis().info("memory")
    if most := memory.get("maxmemory", 0):
        found["redis_memory_used"] = memory.get("used_memory", 0) / most
    return found


def _purge_gauges() -> dict[str, float | Mapping[str, float]]:
    """What the last purge has left, by kind, and how long ago it ended; nothing before the first."""
    row = PeriodicJob.objects.filter(name="purge").values("report", age=Now() - F("ended_at")).first()
    if row is None or row["age"] is None:
        return {}
    left = row["report"].get("left", {})
    return {
        "purge_backlog": {name: float(one["rows"]) for name, one in left.items()},
        "purge_overdue_seconds": max((float(one["overdue_seconds"]) for one in left.values()), default=0.0),
        "purge_age_seconds": row["age"].total_seconds(),
    }


def _share(names: Iterable[str], found: Mapping[str, float | Mapping[str, float]]) -> None:
    """Replaces these gauges; those that were not found are not exported."""
    for name in names:
        metrics.shared.pop(name, None)
    metrics.shared.update(found)


async def _read_in_time(read: Callable[[], None], names: Iterable[str]) -> None:
    try:
        async with asyncio.timeout(SHARED_SECONDS):
            await asyncio.to_thread(read)
    except TimeoutError:
        _share(names, {})


def render() -> bytes:
    """All metrics in Prometheus's text format."""
    _share(DISK_GAUGES, disk_gauges())
    return generate_latest(exposition.REGISTRY)


async def application(scope: dict[str, Any], _receive: object, send: Send) -> None:
    """The ASGI application of `PATH`."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    client = (scope.get("client") or ("",))[0]
    if not settings.METRICS:
        await _answer(send, 404, b"text/plain", b"METRICS is off.\n")
        return
    if not may_read(client, headers):
        await _answer(send, 403, b"text/plain", b"Forbidden: only from this machine, or with METRICS_TOKEN.\n")
        return
    await asyncio.gather(
        _read_in_time(read_shared_gauges, FROM_REDIS),
        _read_in_time(read_queue_gauges, FROM_BROKER),
        _read_in_time(read_case_gauges, FROM_POSTGRESQL),
    )
    await _answer(send, 200, CONTENT_TYPE_PLAIN_0_0_4.encode(), render())


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# --- a port of its own -----------------------------------------------------------------------------------------------


def serve_beside(port: int | None, *, shared: bool) -> int | None:
    """Serves the metrics on METRICS_HOST and `port` (0: a free one) in a thread. Returns the port.

    Returns None if `port` is None, METRICS is off, or the port is in use, which is logged. `shared`: with the gauges
    common to all processes.
    """
    if port is None or not settings.METRICS:
        return None

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        if not may_read(environ.get("REMOTE_ADDR", ""), headers):
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Forbidden: only from this machine, or with METRICS_TOKEN.\n"]
        if shared:
            for read in (read_shared_gauges, read_queue_gauges, read_case_gauges):
                read()
        start("200 OK", [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)])
        return [render()]

    class Server(ThreadingWSGIServer):
        address_family = socket.AF_INET6 if ":" in settings.METRICS_HOST else socket.AF_INET

    try:
        server = make_server(settings.METRICS_HOST, port, answer, Server, handler_class=_Handler)
    except OSError as error:
        logger.warning("metrics_not_served", host=settings.METRICS_HOST, port=port, error=error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    logger.info("metrics_served", host=settings.METRICS_HOST, port=server.server_port)
    return server.server_port


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds a client may take for its request

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's
        """Scrapes are not logged."""
