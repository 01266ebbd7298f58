"""Checks of `manage.py check_deploy`: what a running cluster looks like from one of its machines.

What each process says of itself is in Redis (`chat.jobs.processes`); this command's own settings say which servers the
site has. Run it on any machine, with the environment of the processes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import connection

from chat.jobs.processes import ProcessState, living_processes, shared_settings
from chat.jobs.queues import BrokerAway, queue_lengths
from config.ops.findings import FAIL, LOOPBACK_NAMES, OK, WARN, Found
from workers.runtime.beat_lease import beat_owner

CLOCK_SECONDS: Final = 2.0
MANY_JOBS: Final = 1000  # of one kind: more than a few workers take in a minute
SPARE_CONNECTIONS: Final = 10  # of PostgreSQL, for `manage.py`, backups and people
NONE_SAYS: Final = "No process says that it is alive."
REDIS_SECONDS: Final = 3.0


def check_processes(_url: str) -> Found:
    """Which versions run where."""
    found = living_processes()
    if not found:
        said = f"{NONE_SAYS} They are stopped, have another REDIS_URL, or are older than 0.2.0."
        return FAIL, said, "Start them, or give this command their environment."
    kinds = Counter(one.kind for one in found)
    said = f"{kinds['web']} web, {kinds['worker']} worker, {kinds['beat']} beat"
    for kind in ("web", "worker"):
        if not any(one.kind == kind and not one.draining for one in found):
            advice = f"Start `manage.py {_command(kind)}`; processes of 0.1.0 do not report themselves."
            return FAIL, f"{said}: no {kind} process works.", advice
    versions = sorted({one.version for one in found})
    if len(versions) == 1:
        ours = "" if versions == [settings.VERSION] else f" This command is {settings.VERSION}."
        return (WARN if ours else OK), f"{said}, all of version {versions[0]}.{ours}", ours and "Run it where they run."
    newest = max(found, key=lambda one: one.since).version
    older = ", ".join(f"{one.name} ({one.version})" for one in found if one.version != newest)
    return (
        WARN,
        f"{said}, of versions {', '.join(versions)}. Not of the version that was started last: {older}.",
        "That is so during a rolling update. Otherwise restart them.",
    )


def _command(kind: str) -> str:
    return {"web": "serve"}.get(kind, kind)


def check_settings(_url: str) -> Found:
    """Settings that have to be safe, and the same, in all processes."""
    found = [one for one in living_processes() if one.kind != "beat"]
    ours = shared_settings()
    if debug := _names(one for one in found if one.shared.debug):
        return FAIL, f"DEBUG is on in {debug}: error pages show code and settings to everyone.", "Unset DEBUG."
    for name, why in (
        ("keys", "SECRET_KEY or VAPID_PRIVATE_KEY: log-ins of one machine are invalid on the other"),
        ("event_logs", "EVENT_LOG_REDIS_URLS (or REDIS_URL): what one publishes the other does not see"),
        ("origins", "ALLOWED_ORIGINS: one refuses sockets that the other opens"),
        ("trusted_proxies", "TRUSTED_PROXIES: limits count other addresses"),
    ):
        wanted = Counter(getattr(one.shared, name) for one in found).most_common(1)
        if wanted and (other := _names(one for one in found if getattr(one.shared, name) != wanted[0][0])):
            return FAIL, f"{other} differs from the others in {why}.", "Give all of them the same, and restart them."
        if found and getattr(ours, name) != wanted[0][0]:
            said = f"This command's environment differs from that of the processes in {why}."
            return WARN, said, "Run it with their environment."
    webs = [one for one in found if one.kind == "web"]
    open_to_others = [one for one in webs if not set(settings.ALLOWED_HOSTS) <= LOOPBACK_NAMES]
    if plain := _names(one for one in open_to_others if not _is_https(one.shared.origins)):
        said = f"ALLOWED_ORIGINS of {plain} has no https origin: passwords and cookies may be read on their way."
        return FAIL, said, "Set ALLOWED_ORIGINS to the site's https address."
    if bare := _names(one for one in webs if _is_https(one.shared.origins) and not one.shared.trusted_proxies):
        said = f"{bare} trusts no proxy: limits and logs have the proxy's address for all users."
        return WARN, said, "Set TRUSTED_PROXIES to the number of proxies in front."
    proxies = webs[0].shared.trusted_proxies if webs else 0
    origins = ", ".join(webs[0].shared.origins) if webs else ""
    return OK, f"The same in all processes; origins {origins or 'none'}, {proxies} trusted proxies, DEBUG off.", ""


def _is_https(origins: Iterable[str]) -> bool:
    """Whether browsers elsewhere come by https only."""
    return any(one.startswith("https://") for one in origins) and all(
        one.startswith("https://") or (urlsplit(one).hostname or "") in LOOPBACK_NAMES for one in origins
    )


def check_clocks(_url: str) -> Found:
    """The clock of each machine against that of Redis."""
    worst: dict[str, float] = {}
    for one in living_processes():
        if abs(one.clock_off) >= abs(worst.get(one.host, 0.0)):
            worst[one.host] = one.clock_off
    off = {host: seconds for host, seconds in worst.items() if abs(seconds) > CLOCK_SECONDS}
    if off:
        said = ", ".join(f"{host} by {seconds:+.1f} s" for host, seconds in off.items())
        return WARN, f"Clocks differ from that of Redis: {said}.", "Synchronize all machines with NTP."
    most = max(map(abs, worst.values()), default=0.0)
    return OK, f"{_count(len(worst), 'machine')}, at most {most:.1f} s away from the clock of Redis.", ""


def check_stores(_url: str) -> Found:
    """Every Redis of the site: whether it answers, evicts nothing, and has room."""
    places = {"REDIS_URL": settings.REDIS_URL}
    for number, url in enumerate(settings.EVENT_LOG_REDIS_URLS, 1):
        places.setdefault(f"EVENT_LOG_REDIS_URLS ({number})", url)
    places["CACHE_REDIS_URL"] = settings.CACHE_REDIS_URL
    if settings.CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
        places["CELERY_BROKER_URL"] = settings.CELERY_BROKER_URL
    said, seen = [], set[str]()
    for name, url in places.items():
        if url in seen:
            continue
        seen.add(url)
        try:
            with redis.Redis.from_url(
                url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
            ) as client:
                info: dict[str, Any] = client.info()
        except redis.RedisError as error:
            return FAIL, f"{name} does not answer ({type(error).__name__}).", "Start it, or correct its address."
        policy, most = info.get("maxmemory_policy", ""), info.get("maxmemory", 0)
        if policy and policy != "noeviction" and name != "CACHE_REDIS_URL":
            return (
                FAIL if most else WARN,
                f"{name} has maxmemory-policy {policy}: it would drop jobs, event logs and limits when it is full.",
                "Set maxmemory-policy to noeviction, in its configuration file too.",
            )
        if info.get("role") != "master":
            return FAIL, f"{name} leads to a replica, which takes no writes.", "Point it at the primary."
        version = info.get("valkey_version") or info.get("redis_version", "?")
        room = f", {100 * info['used_memory'] // most} % of its memory" if most else ""
        said.append(f"{name} {version}{room}")
    return OK, f"{'; '.join(said)}; nothing is evicted.", ""


def check_queues(_url: str) -> Found:
    """How many jobs of each kind wait, and whether somebody serves them."""
    served = {queue for one in living_processes() if one.kind == "worker" and not one.draining for queue in one.queues}
    unserved = [kind for kind, queue in settings.WORKER_QUEUES.items() if queue not in served]
    try:
        lengths = queue_lengths()
    except BrokerAway:
        return FAIL, "The broker of CELERY_BROKER_URL cannot be reached.", "Start it, or correct the address."
    said = ", ".join(f"{kind} {lengths.get(kind, '?')}" for kind in settings.WORKER_QUEUES)
    if unserved:
        return (
            FAIL,
            f"No worker serves {', '.join(unserved)}. Waiting jobs: {said}.",
            "Start a worker with `--queues` that names them, or without `--queues`, which serves all.",
        )
    long = [kind for kind, length in lengths.items() if length > MANY_JOBS]
    if long:
        return WARN, f"Many jobs wait: {said}.", f"Start more workers for {', '.join(long)}."
    return OK, f"Waiting jobs: {said}; all are served.", ""


def check_beats(_url: str) -> Found:
    """How many processes may schedule, and which one does."""
    beats = [one for one in living_processes() if one.kind == "beat"]
    leader = beat_owner()
    if not leader:
        return FAIL, "No process schedules the periodic jobs.", "Start `manage.py beat`."
    name = leader.rpartition(":")[0]
    if not any(one.owner == leader for one in beats):
        return WARN, f"{name} has the lease and does not say that it is alive.", "See its log; the lease ends in 20 s."
    others = len(beats) - 1
    if not others:
        return OK, f"{name} schedules the periodic jobs; no other stands by.", ""
    return OK, f"{name} schedules the periodic jobs; {_count(others, 'other')} by its side stand by.", ""


def check_connections(_url: str) -> Found:
    """Whether PostgreSQL, or the pooler before it, has connections for all processes."""
    found = living_processes()
    most = sum(one.shared.database_pool for one in found)
    if settings.DATABASE_POOLER:
        return OK, f"At most {most} connections to the pooler (its max_client_conn must allow them).", ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('max_connections')::int, (SELECT count(*) FROM pg_stat_activity)")
        allowed, used = cursor.fetchone()
    said = f"{len(found)} processes may open {most} connections; {used} of {allowed} are in use."
    if most + SPARE_CONNECTIONS > allowed:
        return WARN, said, "Raise max_connections, lower DATABASE_POOL, or use PgBouncer."
    return OK, said, ""


def check_since(_url: str) -> Found:
    """Processes that were started long before the others: a deploy may have forgotten them."""
    found = living_processes()
    ages = ", ".join(f"{one.name} {_age(one)}" for one in sorted(found, key=lambda one: one.since)[:10])
    return OK, f"The oldest: {ages or 'none'}.", ""


def _age(one: ProcessState) -> str:
    minutes = max(0.0, time.time() - one.since) / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _names(processes: Iterable[ProcessState]) -> str:
    return ", ".join(one.name for one in processes)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
