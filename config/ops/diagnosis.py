"""Runs the checks of `manage.py health` and `manage.py doctor`.

Each check has its own short time limit and works whatever else is broken. A finding never shows a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import django.db
import redis
from django.core.exceptions import ImproperlyConfigured

from config.ops import (
    cluster_checks,
    https_checks,
    installation_checks,
    model_checks,
    serving_checks,
    sign_on_checks,
    upkeep_checks,
)
from config.ops.findings import FAIL, OK, WARN, Finding, Found, Level
from config.stack.errors import StackError

__all__ = ["CHECKS", "DEPLOYED", "SERVING", "Finding", "Level", "examine", "worst"]


def examine(names: Iterable[str], *, url: str = "") -> list[Finding]:
    """Runs the named checks (`CHECKS`, `CLUSTER`), in order. `url` is the web process's; empty: that of
    `manage.py up`.
    """
    checks = CHECKS | CLUSTER
    findings: list[Finding] = []
    failed: set[str] = set()
    for name in names:
        if needed := next((one for one in NEEDS.get(name, ()) if one in failed), None):
            said = f"Not known while `{needed}` fails."
            findings.append(Finding(name, FAIL, said, f"See the check `{needed}`.", needed))
            failed.add(name)
            continue
        try:
            level, said, advice = checks[name](url)
        except (StackError, ImproperlyConfigured) as error:
            level, said, advice = (FAIL, str(error), "Correct it as described, then check again.")
        except (redis.RedisError, ValueError) as error:
            level, said, advice = (
                FAIL,
                f"Redis does not answer ({type(error).__name__}).",
                "See the check `redis`.",
            )
        except django.db.Error as error:
            said = f"PostgreSQL does not answer ({type(error).__name__})."
            level, advice = (FAIL, "See the check `database`; run `manage.py migrate` if a table is missing.")
        if level is FAIL:
            failed.add(name)  # its effects are not reported as causes
        findings.append(Finding(name, level, said, advice))
    return findings


def worst(findings: Iterable[Finding]) -> Level:
    """The most severe level of the findings."""
    levels = {finding.level for finding in findings}
    return FAIL if FAIL in levels else WARN if WARN in levels else OK


CHECKS: Final[dict[str, Callable[[str], Found]]] = {
    "settings": installation_checks.check_settings,
    "versions": installation_checks.check_versions,
    "database": installation_checks.check_database,
    "redis": installation_checks.check_redis,
    "clock": installation_checks.check_clock,
    "disk": upkeep_checks.check_disk,
    "backup": upkeep_checks.check_backup,
    "budgets": upkeep_checks.check_budgets,
    "administrator": installation_checks.check_administrator,
    "sign-up": installation_checks.check_sign_up,
    "sign-on": sign_on_checks.check_sign_on,
    "model": model_checks.check_model,
    "voice": model_checks.check_voice,
    "ocr": installation_checks.check_ocr,
    "embeddings": model_checks.check_embeddings,
    "web": serving_checks.check_web,
    "https": https_checks.check_https,
    "workers": serving_checks.check_workers,
    "endpoints": serving_checks.check_endpoints,
    "queue": serving_checks.check_queue,
    "beat": serving_checks.check_beat,
    "maintenance": serving_checks.check_maintenance,
    "traces": installation_checks.check_traces,
}
# Of `manage.py check_deploy`: of all processes and servers together.
CLUSTER: Final[dict[str, Callable[[str], Found]]] = {
    "processes": cluster_checks.check_processes,
    "same settings": cluster_checks.check_settings,
    "clocks": cluster_checks.check_clocks,
    "stores": cluster_checks.check_stores,
    "queues": cluster_checks.check_queues,
    "beats": cluster_checks.check_beats,
    "connections": cluster_checks.check_connections,
    "started": cluster_checks.check_since,
}
DEPLOYED: Final = ("database", "redis", "clock", *CLUSTER)
# A check is not made where one of these has failed: it would report an effect as a cause.
NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "clock": ("database",),
    "backup": ("database",),
    "budgets": ("database",),
    "administrator": ("database",),
    "sign-up": ("database",),
    "sign-on": ("database", "redis"),
    "model": ("database",),
    "ocr": ("database",),
    "embeddings": ("database",),
    "workers": ("redis",),
    "endpoints": ("redis", "workers"),
    "queue": ("database", "redis"),
    "beat": ("redis",),
    "maintenance": ("database", "redis"),
    "processes": ("redis",),
    "same settings": ("redis", "processes"),
    "clocks": ("redis", "processes"),
    "stores": ("redis",),
    "queues": ("redis", "processes"),
    "beats": ("redis", "processes"),
    "connections": ("database", "redis", "processes"),
    "started": ("redis", "processes"),
}
SERVING: Final = ("database", "redis", "web", "workers", "endpoints", "queue")
