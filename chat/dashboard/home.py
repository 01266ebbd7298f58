"""The figures of the admin's first page, for those who may see the dashboard."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext

from chat.dashboard.cache import cache
from chat.dashboard.links import Links
from chat.dashboard.now import RedisUnknown, now_tiles, read_database_state, read_redis_state, worker_rows
from chat.dashboard.panels import TOO_SLOW
from chat.dashboard.period import PERIODS
from chat.dashboard.questions import questions_for
from chat.dashboard.runs import failure_rows, model_rows, read_runs, run_tiles, runs_panel
from chat.dashboard.usage import period_usage_panels, read_usage, usage_tiles, user_rows

PERMISSION: Final = "accounts.view_dashboard"
NOW_SECONDS: Final = 3.0  # that the present is cached
PERIOD_SECONDS: Final = {"1h": 5.0, "24h": 10.0, "7d": 30.0, "30d": 60.0}  # that a period is cached


def add_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context, with `dashboard` for those who may see it. For `config.staff.dashboard`."""
    if not request.user.has_perm(PERMISSION):
        return context
    period = PERIODS.get(request.GET.get("period", ""), PERIODS["1h"])
    seconds = PERIOD_SECONDS[period.key]
    state = cache.get("database", NOW_SECONDS, read_database_state)
    live = cache.get("redis", NOW_SECONDS, read_redis_state)
    runs = cache.get(f"runs {period.key}", seconds, lambda: read_runs(period))
    usage = cache.get(f"usage {period.key}", seconds, lambda: read_usage(period))
    links = Links(request)
    is_refresh = request.headers.get("X-Requested-With") == "fetch"  # by chat/js/staff.js
    board = {
        "base": "admin/dashboard/alone.html" if is_refresh else "admin/index.html",
        "period": period,
        "periods": PERIODS.values(),
        "at": timezone.localtime(),
        "time_zone": settings.TIME_ZONE,
        "now": list(now_tiles(state, live, links)),
        "past": [*run_tiles(period, runs, links), *usage_tiles(period, usage, links)],
        "runs": runs_panel(period, runs, links),
        "usage": period_usage_panels(period, usage, links),
        "failures": failure_rows(runs, links),
        "models": model_rows(runs, links),
        "users": user_rows(usage, links),
        "workers": worker_rows(live),
        "questions": questions_for(request, links),
        "no_workers": str(live.reason)
        if isinstance(live, RedisUnknown)
        else gettext("No worker is running. No messages are being answered."),
        "wrong": str(TOO_SLOW),
        "runs_known": runs is not None,
        "usage_known": usage is not None,
    }
    return {**context, "dashboard": board, "title": gettext("Dashboard")}
