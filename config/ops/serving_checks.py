"""Checks of what is running: the web process, workers, the queue, the hourly purge."""

from __future__ import annotations

import http.client
import json
import time
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from chat.jobs.queues import BrokerAway, queue_lengths
from chat.jobs.worker_heartbeats import EndpointState, Heartbeat, living_workers
from chat.retention.purge import backlog
from config.env import stack_url
from config.ops.findings import FAIL, OK, WARN, Found
from config.ops.model_checks import MODEL_ADVICE
from workers.runtime.beat_lease import beat_owner
from workers.runtime.maintenance import last_purge

WEB_SECONDS: Final = 5.0
WAITING_SECONDS: Final = 15.0  # a job that waits longer although workers have free slots is not being read
MAINTENANCE_SECONDS: Final = 3 * 3600.0  # the purge is due every hour
OVERDUE_SECONDS: Final = 6 * 3600.0  # an expired row that is older was passed over by several purges


def check_web(url: str) -> Found:
    url = url or stack_url(settings.VAR_DIR, "url")
    if not url:
        return (WARN, "The address of the web process is not known.", "Pass it: --url http://127.0.0.1:8000")
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
            "Start `manage.py serve` (or `make up`), or pass another address with --url.",
        )
    finally:
        asked.close()
    if answer.status == 200:
        return OK, f"{url} is ready.", ""
    wrong = ", ".join(f"{name}: {said}" for name, said in body.get("wrong", {}).items())
    return (
        FAIL,
        f"{url} is not ready ({wrong or answer.status}).",
        "Fix the named cause; the process then recovers by itself.",
    )


def check_workers(_url: str) -> Found:
    hearts = living_workers()
    awake = [heart for heart in hearts if not heart.draining]
    if not awake:
        return (
            FAIL,
            "No worker is alive." if not hearts else "All workers are stopping.",
            "Start `manage.py worker`. A running worker that is not listed hangs or has another REDIS_URL: restart it.",
        )
    busy, room = sum(heart.runs for heart in awake), sum(heart.slots for heart in awake)
    said = f"{len(awake)} alive ({', '.join(map(_name, awake))}), {busy} of {room} slots in use."
    if busy >= room:
        return WARN, said, "Start more workers, or raise WORKER_STREAMS."
    return OK, said, ""


def _name(heart: Heartbeat) -> str:
    return f"{heart.host}:{heart.pid}"


def check_endpoints(_url: str) -> Found:
    """What the running workers see of the model endpoints, with their settings and from their machines."""
    hearts = [heart for heart in living_workers() if not heart.draining]
    seen: dict[str, list[EndpointState]] = {}
    for heart in hearts:
        for state in heart.endpoints:
            name = f"{state.name} ({state.place})" if state.place else state.name
            seen.setdefault(name, []).append(state)
    if not seen:
        return OK, "The running workers have reported no endpoint yet.", ""  # they have just started, or are older
    down = {name: states for name, states in seen.items() if not any(state.is_up for state in states)}
    partly = {name for name, states in seen.items() if name not in down and not all(state.is_up for state in states)}
    if not down and not partly:
        models = sum(max(state.models for state in states) for states in seen.values())
        return OK, f"{', '.join(seen)}: {_count(models, 'model')} on offer at the running workers.", ""
    said = " ".join(f"{name}: {_why_down(states)}." for name, states in down.items())
    said += "".join(f" {name} fails at some workers only." for name in sorted(partly))
    codes = {state.failure for states in down.values() for state in states}
    advice = next((MODEL_ADVICE[code] for code in sorted(codes) if code in MODEL_ADVICE), "")
    return FAIL if len(down) == len(seen) else WARN, said.strip(), advice or "`manage.py models --test` shows details."


def _why_down(states: list[EndpointState]) -> str:
    codes = ", ".join(sorted({state.failure for state in states if state.failure})) or "requests fail"
    last = max(state.answered_at for state in states)
    answer = f"the last answer was {(time.time() - last) / 60:.0f} min ago" if last else "no answer since the start"
    return f"down at all workers ({codes}; {answer})"


def check_queue(_url: str) -> Found:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min("
            "CASE WHEN queued_ms IS NULL THEN created_at ELSE enqueued_at END)), 0)::float"  # not a wait for a person
            " FROM chat_run WHERE status = 'queued'"
        )
        waiting, oldest = cursor.fetchone()
    try:
        jobs = sum(queue_lengths().values())
    except BrokerAway:
        return FAIL, "The broker of CELERY_BROKER_URL cannot be reached.", "Start it, or correct the address."
    said = f"{_count(waiting, 'answer')} queued, the oldest for {oldest:.0f} s; {_count(jobs, 'job')} in the broker."
    if oldest <= WAITING_SECONDS:
        return OK, said, ""
    awake = [heart for heart in living_workers() if not heart.draining]
    if not awake:
        return FAIL, said, "No worker is running: start `manage.py worker`."
    if sum(heart.runs for heart in awake) < sum(heart.slots for heart in awake):
        return (
            FAIL,
            said,
            "Workers have free slots but take no jobs, so they no longer read from the broker: restart them.",
        )
    return WARN, said, "All slots are in use: start more workers, or raise WORKER_STREAMS."


def check_maintenance(_url: str) -> Found:
    """When the purge last ended, and what is expired and still there: a purge may end each hour and not keep up."""
    last = last_purge()
    said = "The hourly purge has not run yet."
    if last is not None:
        said = f"The last purge was {(time.time() - last) / 3600:.1f} h ago."
    # Before the first purge, the age of the workers shows whether it is overdue.
    since = last or min((heart.since for heart in living_workers()), default=time.time())
    left = backlog()
    late = max((one.overdue_seconds for one in left.values()), default=0.0)
    if late > OVERDUE_SECONDS:
        names = ", ".join(f"{one.rows} {name}" for name, one in left.items() if one.overdue_seconds > OVERDUE_SECONDS)
        said += f" It does not keep up: {names} expired {late / 3600:.0f} h ago or earlier."
        return WARN, said, "Run `manage.py purge`, which can be stopped at any moment, or raise PURGE_SECONDS."
    if time.time() - since < MAINTENANCE_SECONDS:
        return OK, said, ""
    return WARN, said, "Check that `manage.py beat` is running and that a worker serves the queue `maintenance`."


def check_beat(_url: str) -> Found:
    owner = beat_owner()
    if owner:
        return OK, f"{owner.rpartition(':')[0]} schedules the periodic jobs.", ""
    return (
        WARN,
        "No process schedules the periodic jobs.",
        "Start `manage.py beat`; one that runs takes over within 20 s.",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
