"""What is wrong with an installation, and what to do about it: the checks of `manage.py health` and `manage.py doctor`.

Each check has its own short limit and finds something whatever else is broken. A sentence never shows a secret.
"""

from __future__ import annotations

import asyncio
import enum
import http.client
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import django
import django.db
import redis
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.lib.redis import sync_redis
from accounts.models import User
from chat.catalog.offered_models import DEMO_MODEL
from chat.jobs.worker_heartbeats import Heartbeat, living_workers, waiting_jobs
from config.env import stack_url
from config.observability import tracing
from config.stack.errors import StackError
from config.stack.reach import check_database, check_redis
from workers.asr.registry import open_chain
from workers.endpoints.connection_test import explain
from workers.endpoints.service import load_endpoints
from workers.providers import discovery
from workers.providers.base import ProviderError
from workers.providers.config import Definition
from workers.providers.router import ModelRouter
from workers.runtime.maintenance import last_purge

MODEL_SECONDS: Final = 10.0
WEB_SECONDS: Final = 5.0
WAITING_SECONDS: Final = 15.0  # a job that waits longer while workers are free is not taken at all
CLOCK_SECONDS: Final = 2.0
LOCAL: Final = {"localhost", "127.0.0.1", "[::1]"}
MAINTENANCE_SECONDS: Final = 3 * 3600.0  # it is due every hour
MODEL_ADVICE: Final = {
    "upstream_unauthorized": "Correct OPENAI_API_KEY, or the endpoint's key in the admin; then restart.",
    "upstream_unreachable": "Start it, or correct OPENAI_BASE_URL; from this machine, try curl.",
    "upstream_quota": "Its account has no credit left: add some, or name a second one (OPENAI_FALLBACK_…).",
}
DISK_WARN, DISK_FAIL = 2 * 2**30, 200 * 2**20


class Level(enum.StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, and somebody should look
    FAIL = "fail"  # it does not serve, or soon will not


@dataclass(frozen=True)
class Finding:
    """What one check found: `said` is a fact, `advice` the sentence on what to do."""

    name: str
    level: Level
    said: str
    advice: str = ""


Found = tuple[Level, str, str]
OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL


def examine(names: Iterable[str], *, url: str = "") -> list[Finding]:
    """Runs the named checks (`CHECKS`), in order. `url`: of the web process; empty is the one `manage.py up` runs."""
    findings: list[Finding] = []
    away: set[str] = set()
    for name in names:
        if (needed := NEEDS.get(name)) in away:
            findings.append(Finding(name, FAIL, f"Cannot be told without {needed}.", f"Look at the check `{needed}`."))
            continue
        try:
            level, said, advice = CHECKS[name](url)
        except (StackError, ImproperlyConfigured) as error:
            away.add(name)
            level, said, advice = (FAIL, str(error), "The sentence says what to do; then ask again.")
        except (redis.RedisError, ValueError) as error:
            level, said, advice = (
                FAIL,
                f"Redis does not answer ({type(error).__name__}).",
                "Look at the check `redis`.",
            )
        except django.db.Error as error:
            said = f"PostgreSQL does not answer ({type(error).__name__})."
            level, advice = (FAIL, "Look at the check `database`; `manage.py migrate` if a table is missing.")
        findings.append(Finding(name, level, said, advice))
    return findings


def worst(findings: Iterable[Finding]) -> Level:
    levels = {finding.level for finding in findings}
    return FAIL if FAIL in levels else WARN if WARN in levels else OK


# --- what serves -----------------------------------------------------------------------------------------------------


def _database(_url: str) -> Found:
    check_database(settings.DATABASE_URL)
    executor = MigrationExecutor(connection)
    missing = [f"{one.app_label}.{one.name}" for one, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if missing:
        some = ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")
        said = f"{len(missing)} {'migration is' if len(missing) == 1 else 'migrations are'} not applied: {some}."
        return (FAIL, said, "Run `manage.py prepare`, then restart.")
    ours = executor.loader.migrated_apps
    ahead = [f"{app}.{name}" for app, name in executor.loader.applied_migrations if app in ours]
    ahead = [name for name in ahead if tuple(name.split(".", 1)) not in executor.loader.disk_migrations]
    if ahead:
        said = f"The database is of a newer version than this program ({ahead[-1]})."
        return (WARN, said, "Install that version, or migrate back or restore where the changelog says so.")
    version = connection.cursor().connection.info.server_version // 10_000
    return OK, f"PostgreSQL {version}, all migrations applied.", ""


def _redis(_url: str) -> Found:
    check_redis(settings.REDIS_URL)
    memory: Any = sync_redis().info("memory")
    policy, most, used = (memory.get("maxmemory_policy"), memory.get("maxmemory", 0), memory.get("used_memory", 0))
    if most and policy != "noeviction":
        return (
            WARN,
            f"Redis throws keys away when it is full (maxmemory-policy {policy}).",
            "Set maxmemory-policy to noeviction: jobs and logs must not vanish one by one.",
        )
    if most and used > 0.8 * most:
        return (WARN, f"Redis uses {used * 100 // most} % of its memory.", "Give it more (maxmemory).")
    return OK, f"Redis answers, {used // 2**20} MB in use.", ""


def _web(url: str) -> Found:
    url = url or stack_url(settings.VAR_DIR, "url")
    if not url:
        return (WARN, "No address of a web process is known.", "Name it: --url http://127.0.0.1:8000")
    parts = urlsplit(url)
    maker = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    asked = maker(parts.netloc, timeout=WEB_SECONDS)
    try:
        asked.request("GET", "/readyz")
        answer = asked.getresponse()
        body = json.loads(answer.read(10_000))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return (
            FAIL,
            f"{url}/readyz does not answer ({type(error).__name__}).",
            "Start `manage.py serve` (or `make up`), or name another address with --url.",
        )
    finally:
        asked.close()
    if answer.status == 200:
        return OK, f"{url} is ready.", ""
    wrong = ", ".join(f"{name}: {said}" for name, said in body.get("wrong", {}).items())
    return (FAIL, f"{url} is not ready ({wrong or answer.status}).", "Mend what is named; it recovers by itself.")


def _workers(_url: str) -> Found:
    hearts = living_workers()
    awake = [heart for heart in hearts if not heart.draining]
    if not awake:
        return (
            FAIL,
            "No worker is alive." if not hearts else "All workers are stopping.",
            "Start `manage.py worker`. One that runs and is not seen here hangs, or has another REDIS_URL: restart it.",
        )
    busy, room = sum(heart.runs for heart in awake), sum(heart.slots for heart in awake)
    said = f"{len(awake)} alive ({', '.join(map(_name, awake))}), {busy} of {room} slots in use."
    if busy >= room:
        return WARN, said, "Start more workers, or raise WORKER_STREAMS."
    return OK, said, ""


def _name(heart: Heartbeat) -> str:
    return f"{heart.host}:{heart.pid}"


def _queue(_url: str) -> Found:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(created_at)), 0)::float"
            " FROM chat_run WHERE status = 'queued'"
        )
        waiting, oldest = cursor.fetchone()
    jobs = waiting_jobs()
    said = f"{waiting} answers wait, the oldest for {oldest:.0f} s; {jobs} jobs in the broker."
    if oldest <= WAITING_SECONDS:
        return OK, said, ""
    awake = [heart for heart in living_workers() if not heart.draining]
    if not awake:
        return FAIL, said, "There is no worker to take them: start `manage.py worker`."
    if sum(heart.runs for heart in awake) < sum(heart.slots for heart in awake):
        return (
            FAIL,
            said,
            "Workers have room and take nothing, so they stopped listening to the broker: restart them.",
        )
    return WARN, said, "All workers are full: start more, or raise WORKER_STREAMS."


# --- what it stands on -----------------------------------------------------------------------------------------------


def _settings(_url: str) -> Found:
    if settings.DEBUG:
        return (FAIL, "DEBUG is on: errors show code and settings to everybody.", "Unset DEBUG.")
    found = checks.run_checks(include_deployment_checks=settings.HTTPS)
    wrong = [message for message in found if message.is_serious() and not message.is_silenced()]
    if wrong:
        return (
            FAIL,
            "; ".join(f"{message.id}: {message.msg}" for message in wrong),
            str(wrong[0].hint or "Correct it."),
        )
    if not settings.HTTPS and set(settings.ALLOWED_HOSTS) <= LOCAL:
        return OK, "Django's checks find nothing; plain http, on this machine only.", ""
    if not settings.HTTPS:
        return (
            WARN,
            "HTTPS is off: passwords and cookies travel in the clear.",
            "Right on one machine. Elsewhere put a proxy with TLS in front and unset HTTPS.",
        )
    return OK, "Django's deployment checks find nothing.", ""


def _versions(_url: str) -> Found:
    return (OK, f"Python {platform.python_version()}, Django {django.get_version()}, {sys.platform}.", "")


def _administrator(_url: str) -> Found:
    count = User.objects.filter(is_superuser=True, is_active=True).count()
    if not count:
        return (WARN, "There is no administrator.", "Make one: `manage.py createsuperuser`.")
    return OK, f"{count} administrators.", ""


def _model(_url: str) -> Found:
    rows = load_endpoints()
    troubles = [f"{row.name}: {row.trouble}" for row in rows if row.trouble]
    try:
        router = asyncio.run(_ask_models(rows))
    except ProviderError as error:
        reason = f" ({error.reason})" if error.reason else ""
        return (
            FAIL,
            f"{error.code}: {error.message}{reason}",
            MODEL_ADVICE.get(error.code, "`manage.py models` says more."),
        )
    except TimeoutError:
        return (
            FAIL,
            f"The endpoint said nothing within {MODEL_SECONDS:g} s.",
            "Is it up? Can it be reached from here?",
        )
    if troubles:
        return (
            FAIL,
            " ".join(troubles),
            "Put the secret they were encrypted with into ENCRYPTION_KEYS, or enter the keys again in the admin.",
        )
    silent = [member for member in router.members.values() if member.failure is not None]
    names = [offer["id"] for offer in router.catalog]
    if silent:
        said = "; ".join(
            f"{one.definition.name}: {explain(one.failure, one.definition)}" for one in silent if one.failure
        )
        return (WARN, said, "`manage.py models --test` says more; the admin's pages of endpoints too.")
    if names == [DEMO_MODEL]:
        advice = "For a real one set OPENAI_API_KEY or OPENAI_BASE_URL, start Ollama, or add an endpoint in the admin."
        if _is_private():
            return OK, "The demo model answers, as is well for a first look on this machine.", advice
        return WARN, "Only the demo model answers.", advice
    if not names:
        return (FAIL, "The endpoint offers no model.", "Load one there, or name it in CHAT_MODELS.")
    where = ", ".join(member.definition.place for member in router.members.values())
    return OK, f"{where}: {len(names)} models, {names[0]} first.", ""


def _is_private() -> bool:
    """Whether only this machine is served: what `manage.py up` runs here, or plain http under this machine's names."""
    url = stack_url(settings.VAR_DIR, "url")
    if url:
        return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    return not settings.HTTPS and set(settings.ALLOWED_HOSTS) <= LOCAL


async def _ask_models(rows: Sequence[Definition]) -> ModelRouter:
    """Every endpoint, asked for its models. Raises what the first one said when nothing is known of any."""
    router = discovery.open_router(rows)
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await router.models()
            return router
    finally:
        await router.close()


def _voice(_url: str) -> Found:
    backends = open_chain().backends  # the settings are checked; nothing is loaded or connected
    if not backends:
        advice = (
            "To turn it on, run `make pocketsphinx` (a demo for English), or name another recogniser in ASR_BACKENDS "
            "(docs/voice.md); then restart."
        )
        return OK, "Voice input is off: no recogniser is configured.", advice
    return OK, f"Voice input is on: {', '.join(backend.name for backend in backends)}.", ""


def _disk(_url: str) -> Found:
    free = shutil.disk_usage(settings.VAR_DIR if settings.VAR_DIR.exists() else settings.BASE_DIR).free
    said = f"{free / 2**30:.1f} GB free where {settings.VAR_DIR} lies."
    level = FAIL if free < DISK_FAIL else WARN if free < DISK_WARN else OK
    return (level, said, "" if level is OK else "Make room, or move it (ANTIPHON_VAR); `manage.py purge` frees rows.")


def _clock(_url: str) -> Found:
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float")
        theirs: float = cursor.fetchone()[0]
    off = theirs - (before + time.time()) / 2
    said = f"This clock and the database's differ by {abs(off):.3f} s."
    if abs(off) > CLOCK_SECONDS:
        return (WARN, said, "Let both follow NTP: sessions end and logs line up by them (leases use the database's).")
    return OK, said, ""


def _maintenance(_url: str) -> Found:
    last = last_purge()
    said = "The hourly clean-up has not run yet."
    if last is not None:
        said = f"The last clean-up was {(time.time() - last) / 3600:.1f} h ago."
    # Before the first one, workers that are older than it should be tell that it is missing.
    since = last or min((heart.since for heart in living_workers()), default=time.time())
    if time.time() - since < MAINTENANCE_SECONDS:
        return OK, said, ""
    return WARN, said, "Is `manage.py beat` running, and does a worker take the queue `maintenance`?"


def _traces(_url: str) -> Found:
    well, said, advice = tracing.check_collector()
    return OK if well else WARN, said, advice


CHECKS: Final[dict[str, Callable[[str], Found]]] = {
    "settings": _settings,
    "versions": _versions,
    "database": _database,
    "redis": _redis,
    "clock": _clock,
    "disk": _disk,
    "administrator": _administrator,
    "model": _model,
    "voice": _voice,
    "web": _web,
    "workers": _workers,
    "queue": _queue,
    "maintenance": _maintenance,
    "traces": _traces,
}
NEEDS: Final = {"clock": "database", "administrator": "database", "queue": "database", "model": "database",
                "workers": "redis", "maintenance": "redis"}  # fmt: skip
SERVING: Final = ("database", "redis", "web", "workers", "queue")
