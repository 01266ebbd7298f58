"""`manage.py stats`: how much there is, and how much is going on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from chat.management.terminal import show_examples

_STATS: Final = """
SELECT (SELECT count(*) FROM accounts_user), (SELECT count(*) FROM accounts_user WHERE is_active),
    (SELECT count(*) FROM accounts_user WHERE is_staff AND is_active),
    (SELECT count(*) FROM chat_conversation), (SELECT count(*) FROM chat_conversation WHERE deleted_at IS NOT NULL),
    (SELECT count(*) FROM chat_message), (SELECT count(*) FROM chat_run),
    (SELECT count(*) FROM chat_file), (SELECT COALESCE(sum(size), 0) FROM chat_blob),
    (SELECT count(*) FROM accounts_usageentry), (SELECT count(*) FROM accounts_auditentry),
    pg_database_size(current_database())
"""
_NAMES: Final = (
    "accounts", "active_accounts", "staff", "conversations", "conversations_in_trash", "messages", "runs", "files",
    "file_bytes", "usage_entries", "audit_entries", "database_bytes",
)  # fmt: skip
_RECENT: Final = """
SELECT count(DISTINCT user_id) FILTER (WHERE messages > 0), COALESCE(sum(messages), 0),
    COALESCE(sum(input_tokens), 0), COALESCE(sum(output_tokens), 0), COALESCE(sum(cost), 0), COALESCE(sum(unpriced), 0)
FROM accounts_dailyusage WHERE day >= %s
"""
_FAILED: Final = """
SELECT count(*), count(*) FILTER (WHERE status IN ('failed', 'interrupted')),
    percentile_disc(0.5) WITHIN GROUP (ORDER BY first_token_ms)
FROM chat_run WHERE created_at >= %s AND attempt > 0
"""


class Command(BaseCommand):
    help = (
        "Counts accounts, conversations, messages, runs, files and their sizes, and what the last days had: active "
        "people, answers, failures, tokens and cost. Reads only. Exit code 0."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="of the second part (default: 30)")
        parser.add_argument("--json", action="store_true", help="for scripts: one object")
        show_examples(
            parser,
            ("stats", "how much there is, and the last 30 days"),
            ("stats --days 1 --json", "for scripts"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        found = read_stats(max(1, options["days"]))
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        width = max(map(len, found))
        for name, value in found.items():
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            if name.endswith("_bytes"):
                shown = f"{found[name] / 2**20:,.0f} MB"
            self.stdout.write(f"{name.replace('_', ' ').ljust(width)}  {shown}")


def read_stats(days: int) -> dict[str, Any]:
    """The figures by name; money as text in `currency`, times in milliseconds."""
    since = datetime.now(UTC) - timedelta(days=days)
    with connection.cursor() as cursor:
        cursor.execute(_STATS)
        found: dict[str, Any] = dict(zip(_NAMES, map(int, cursor.fetchone()), strict=True))
        cursor.execute(_RECENT, [since.date()])
        people, messages, input_tokens, output_tokens, cost, unpriced = cursor.fetchone()
        cursor.execute(_FAILED, [since])
        runs, failed, first_token = cursor.fetchone()
    return {
        **found, "days": days, "active_people": people, "answers": int(messages), "input_tokens": int(input_tokens),
        "output_tokens": int(output_tokens), "cost": f"{cost:.6f}", "currency": settings.CURRENCY,
        "answers_without_price": int(unpriced), "runs_started": runs, "runs_failed": failed,
        "first_token_median_ms": first_token,
    }  # fmt: skip
