"""The admin's first page: the figures of `chat.dashboard`, below what `manage.py health` says at this moment."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest

from chat.dashboard import home
from chat.dashboard.cache import cache
from chat.dashboard.home import NOW_SECONDS
from config.ops.diagnosis import Level, examine

# Causes before effects. Without `database` and `web`: a page that is shown had both.
CHECKS: Final = ("redis", "workers", "endpoints", "queue", "beat", "disk", "backup", "budgets")


def add_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """For unfold's DASHBOARD_CALLBACK: the context, with `dashboard` for those who may see it."""
    context = home.add_dashboard(request, context)
    if board := context.get("dashboard"):
        findings = cache.get("health", NOW_SECONDS, lambda: examine(CHECKS))
        wrong = [one for one in findings if one.level is not Level.OK]
        board["wrong_parts"] = [one for one in wrong if not one.cause]
        board["unknown_parts"] = ", ".join(one.name for one in wrong if one.cause)
    return context
