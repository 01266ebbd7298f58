"""How long each page of the admin takes and how many queries it makes, with the rows that the database has."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Count, Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import DailyUsage, Plan, User
from chat.dashboard.cache import cache
from chat.models import Conversation, Message, Run

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TRIES: Final = 3  # of each page; the quickest counts
MOST_MS: Final = 300
MOST_QUERIES: Final = 12
BEGIN: Final = "<!-- manage.py measure_admin: begin -->"
END: Final = "<!-- manage.py measure_admin: end -->"


@dataclass(frozen=True, slots=True)
class MeasuredPage:
    """`ms` of the quickest of `TRIES`, without the network; `queries` of the first. `cpu_ms`: the least CPU time of one
    of them, of this process and of its connection's process in PostgreSQL where that runs here.
    """

    path: str
    status: int
    ms: float
    cpu_ms: float
    queries: int
    kilobytes: float

    @property
    def is_good(self) -> bool:
        return self.status == 200 and self.ms <= MOST_MS and self.queries <= MOST_QUERIES


def measure(user: User, only: str = "") -> Iterator[MeasuredPage]:
    """Opens each page as `user`, a superuser, in a transaction that is rolled back: it leaves no audit entries."""
    with transaction.atomic():
        client = Client(headers={"host": "localhost", "x-forwarded-proto": "https"})
        client.force_login(user)
        ContentType.objects.get_for_models(*admin.site._registry)  # noqa: SLF001  # as below; a process reads them once
        for path in addresses():
            if only in path:
                yield _measure(client, path)
        transaction.set_rollback(True)


def _measure(client: Client, path: str) -> MeasuredPage:
    best, least, queries, response = float("inf"), float("inf"), 0, None
    for attempt in range(TRIES):
        cache.clear()  # figures that are kept for some seconds
        began, busy = time.perf_counter(), _cpu_seconds()
        if attempt == 0:
            with CaptureQueriesContext(connection) as asked:
                response = client.get(path, secure=True)
            queries = sum(not _is_frame(one["sql"]) for one in asked.captured_queries)
        else:
            response = client.get(path, secure=True)
        best = min(best, (time.perf_counter() - began) * 1000)
        least = min(least, (_cpu_seconds() - busy) * 1000)
    assert response is not None
    return MeasuredPage(path, response.status_code, best, least, queries, len(response.content) / 1024)


def _cpu_seconds() -> float:
    """CPU time so far, of this process and of the process of its connection where that runs on this machine."""
    here = time.process_time()
    with contextlib.suppress(OSError, ValueError, IndexError):
        schedule = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
        here += int(schedule.read_text().split()[0]) / 1e9
    return here


def _is_frame(sql: str) -> bool:
    """Whether a statement only begins or ends something."""
    return sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "SET LOCAL", "SELECT set_config"))


def addresses() -> Iterator[str]:
    """Pages of figures, every list, its second page and its newest row, and the heaviest user and conversation."""
    today = datetime.now(UTC).date()
    yield from (f"{reverse('admin:index')}?period={period}" for period in ("1h", "24h", "7d", "30d"))
    since = today - timedelta(days=29)
    yield from (f"{reverse('admin:usage')}?from={since}&by={by}" for by in ("user", "model", "group", "day"))
    yield from (reverse(f"admin:{name}") for name in ("speed", "people", "moderation", "tools", "queues"))
    yield reverse("staff_exports")
    yield f"{reverse('admin:search_texts')}?q=invoices"
    for model, page in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label_lower):  # noqa: SLF001  # Django offers no list
        options: Any = model._meta  # noqa: SLF001  # Django documents it
        name = f"admin:{options.app_label}_{options.model_name}"
        yield reverse(f"{name}_changelist")
        row = model._default_manager.order_by(*(page.ordering or ("-pk",))).first()  # noqa: SLF001  # as above
        if row is not None:
            yield f"{reverse(f'{name}_changelist')}?p=2"
            yield reverse(f"{name}_change", args=[row.pk])
    yield from _heaviest()


def _heaviest() -> Iterator[str]:
    used = DailyUsage.objects.filter(user__isnull=False).order_by().values("user").annotate(n=Sum("messages"))
    for one in used.order_by("-n")[:1]:
        if User.objects.filter(pk=one["user"]).exists():
            yield reverse("admin:accounts_user_change", args=[one["user"]])
            email = User.objects.values_list("email", flat=True).get(pk=one["user"])
            yield f"{reverse('admin:search_texts')}?q=invoices&person={email}"
        for view, query in (
            ("chat_conversation", f"member={one['user']}"),
            ("chat_run", f"requested_by__exact={one['user']}"),
            ("chat_message", f"author__exact={one['user']}"),
            ("accounts_usageentry", f"user__exact={one['user']}"),
        ):
            yield f"{reverse(f'admin:{view}_changelist')}?{query}"
    newest = Message.objects.order_by("-id").values_list("conversation", flat=True)[:1000]
    longest = Conversation.objects.filter(pk__in=list(newest)).annotate(n=Count("messages")).order_by("-n").first()
    if longest is not None:
        yield reverse("admin:chat_conversation_read", args=[longest.pk])
    run = Run.objects.filter(status="failed").order_by("-created_at").first()
    if run is not None:
        yield reverse("admin:chat_run_change", args=[run.pk])
    yield f"{reverse('admin:chat_run_changelist')}?error_code=any"
    yield f"{reverse('admin:chat_run_changelist')}?q=person00001@scale.example"
    yield f"{reverse('admin:accounts_user_changelist')}?q=person0"
    yield f"{reverse('admin:accounts_auditentry_changelist')}?q=switch"
    yield f"{reverse('admin:chat_conversation_changelist')}?trash=yes"
    if plan := Plan.objects.order_by("-pk").first():
        yield f"{reverse('admin:accounts_user_changelist')}?plan__id__exact={plan.pk}"


def as_table(pages: list[MeasuredPage]) -> str:
    """A table in Markdown, the slowest first."""
    lines = ["| page | ms | CPU ms | queries | kB |", "|---|---|---|---|---|"]
    for one in sorted(pages, key=lambda page: -page.ms):
        shown = _without_ids(one.path)
        mark = "" if one.is_good else " **!**"
        lines.append(f"| `{shown}`{mark} | {one.ms:.0f} | {one.cpu_ms:.0f} | {one.queries} | {one.kilobytes:.0f} |")
    return "\n".join(lines)


def _without_ids(path: str) -> str:
    """The address with `…` for ids, so that the table changes with what it measures only."""
    return _ID.sub("…", path)


def put_into(text: str, table: str) -> str:
    """The document with the table between its marks. Raises `ValueError` if it has none."""
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The file has no lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"
