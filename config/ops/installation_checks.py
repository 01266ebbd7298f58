"""Checks of an installation: settings, versions, database, Redis, clock, administrator, traces."""

from __future__ import annotations

import importlib
import platform
import sys
import time
from typing import Any, Final

import django
import redis
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http.request import validate_host

from accounts.auth.origins import parse_origin
from accounts.lib.redis import PROBE, PROBE_SECONDS, sync_redis, write_refusal
from accounts.models import User
from accounts.quotas.plans import has_default_quota
from accounts.staff.notices import OPEN_WITHOUT_QUOTA, is_open_without_quota
from chat.models import Recognition, RecognitionState
from config.observability import tracing
from config.ops.findings import FAIL, OK, WARN, Found
from config.stack.reach import check_database as connect_to_database
from config.stack.reach import check_redis as connect_to_redis
from workers.files.recognition.engines import engine_path

CLOCK_SECONDS: Final = 2.0


def check_settings(_url: str) -> Found:
    if settings.DEBUG:
        return (FAIL, "DEBUG is on: error pages show code and settings to everyone.", "Unset DEBUG.")
    found = checks.run_checks(include_deployment_checks=settings.HTTPS)
    wrong = [message for message in found if message.is_serious() and not message.is_silenced()]
    if wrong:
        return (
            FAIL,
            "; ".join(f"{message.id}: {message.msg}" for message in wrong),
            str(wrong[0].hint or "Fix it."),
        )
    strange = [origin for origin in settings.ALLOWED_ORIGINS if not _is_host_of_ours(origin)]
    if strange:
        return (
            FAIL,
            f"ALLOWED_ORIGINS has {strange[0]}, whose host is not in ALLOWED_HOSTS: its pages answer 400.",
            "Add the host to ALLOWED_HOSTS.",
        )
    return OK, "Django's checks report no problems. Whether https is on: see the check `https`.", ""


def _is_host_of_ours(origin: str) -> bool:
    found = parse_origin(origin.lower())
    return found is not None and validate_host(found.host, settings.ALLOWED_HOSTS)


def check_versions(_url: str) -> Found:
    return (OK, f"Python {platform.python_version()}, Django {django.get_version()}, {sys.platform}.", "")


def check_database(_url: str) -> Found:
    connect_to_database(settings.DATABASE_URL)
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
        said = f"The database was migrated by a newer version of this program ({ahead[-1]})."
        return (WARN, said, "Install that version, or migrate back or restore a backup as the changelog describes.")
    version = connection.cursor().connection.info.server_version // 10_000
    return OK, f"PostgreSQL {version}, all migrations applied.", ""


REFUSAL_ADVICE: Final = {
    "full": "Raise maxmemory (`redis-cli CONFIG SET maxmemory …`, then its configuration file), or free memory.",
    "a read-only replica": "REDIS_URL leads to a replica: point it at the primary.",
}


def check_redis(_url: str) -> Found:
    connect_to_redis(settings.REDIS_URL)
    memory: Any = sync_redis().info("memory")
    policy, most, used = (memory.get("maxmemory_policy"), memory.get("maxmemory", 0), memory.get("used_memory", 0))
    try:
        sync_redis().set(*PROBE, ex=PROBE_SECONDS)
    except redis.ResponseError as error:
        refused = write_refusal(error)
        if not refused:
            raise
        of = f" of {most // 2**20} MB" if most else ""
        return (
            FAIL,
            f"Redis answers but takes no writes: {refused} ({used // 2**20} MB{of} in use). Nothing is answered.",
            REFUSAL_ADVICE.get(refused, "Look at the end of Redis's log."),
        )
    if most and policy != "noeviction":
        return (
            WARN,
            f"Redis evicts keys when its memory is full (maxmemory-policy {policy}).",
            "Set maxmemory-policy to noeviction: jobs and event logs must not be evicted.",
        )
    if most and used > 0.8 * most:
        return (WARN, f"Redis uses {used * 100 // most} % of its memory.", "Raise maxmemory.")
    return OK, f"Redis answers, {used // 2**20} MB in use.", ""


def check_clock(_url: str) -> Found:
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float")
        theirs: float = cursor.fetchone()[0]
    off = theirs - (before + time.time()) / 2
    said = f"The clocks of this machine and of the database differ by {abs(off):.3f} s."
    if abs(off) > CLOCK_SECONDS:
        return (
            WARN,
            said,
            "Synchronize both with NTP: session expiry and log times depend on them (leases use the database's clock).",
        )
    return OK, said, ""


def check_administrator(_url: str) -> Found:
    count = User.objects.filter(is_superuser=True, is_active=True).count()
    if not count:
        return (WARN, "There is no administrator.", "Create one: `manage.py createsuperuser`.")
    return OK, f"{count} administrator{'' if count == 1 else 's'}.", ""


def check_sign_up(_url: str) -> Found:
    if is_open_without_quota():
        return (
            WARN,
            str(OPEN_WITHOUT_QUOTA),
            "Add a hard quota to the default plan, or set SIGN_UP to approval or invitation.",
        )
    who = {
        "open": "Sign-up is open to everybody who reaches the site",
        "approval": "Sign-up needs the approval of staff",
        "invitation": "Sign-up is by invitation",
    }[settings.SIGN_UP]
    if settings.SIGN_UP == "open" and settings.LOOPBACK_ONLY:
        return OK, f"{who}, which is this machine only.", ""
    return OK, f"{who}; the default plan has {'a' if has_default_quota() else 'no'} hard quota.", ""


def check_ocr(_url: str) -> Found:
    """Whether text in pictures and scans can be recognised on this machine."""
    engine = engine_path(settings.OCR)
    if not engine:
        how = "Install it where workers read files: `pip install -r requirements/ocr.txt`."
        why = "OCR is off" if settings.OCR == "off" else "the package is not installed"
        advice = "" if settings.OCR == "off" else f" {how}"
        return OK, f"Text in pictures and scans is not recognised: {why}.{advice}", ""
    try:
        module, _dot, name = engine.rpartition(".")
        getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        said = f"The recogniser of text in pictures, {engine}, cannot be loaded ({type(error).__name__}: {error})."
        return WARN, said, "Correct OCR, or install what it needs; `manage.py files recognise` then reads what failed."
    if waiting := Recognition.objects.filter(state=RecognitionState.FAILED).count():
        said = f"Text in pictures and scans is recognised by {engine}. Of {waiting} contents it could not be."
        return OK, f"{said} `manage.py files recognise` tries again.", ""
    return OK, f"Text in pictures and scans is recognised by {engine}.", ""


def check_traces(_url: str) -> Found:
    well, said, advice = tracing.check_collector()
    return OK if well else WARN, said, advice
