"""`manage.py usage`: usage and cost by user, model, day, group or conversation."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.lib.replica import reports
from accounts.models import User
from accounts.quotas.usage_report import KINDS, group_rows, usage_rows, write_rows
from accounts.roles import all_roles
from chat.management.terminal import show_examples


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-11-23") from None


class Command(BaseCommand):
    help = (
        "Shows usage by user, model, day, group or conversation. Days are UTC, both included; money is in CURRENCY. "
        "Exit code 0, or 1 if there is no such user or the dates are in the wrong order."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        today = datetime.now(UTC).date()
        parser.add_argument("--from", dest="since", type=_day, default=today - timedelta(days=29), help="30 days ago")
        parser.add_argument("--to", dest="until", type=_day, default=today, help="today")
        parser.add_argument("--by", choices=KINDS, default="user")
        parser.add_argument("--user", metavar="EMAIL", help="only of this user")
        parser.add_argument("--format", dest="form", choices=("table", "csv", "json"), default="table")
        parser.add_argument("--json", action="store_const", const="json", dest="form", help="the same as --format json")
        show_examples(
            parser,
            ("usage", "who used what in the last 30 days"),
            ("usage --by day --user ana@example.org", "one person's days"),
            ("usage --by model --from 2026-11-01 --to 2026-11-30 --format csv", "a month, for a spreadsheet"),
            ("usage --by group --json", "for scripts"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        since, until = options["since"], options["until"]
        if since > until:
            raise CommandError(f"--from {since} is after --to {until}.")
        user_id = None
        if options["user"]:
            user_id = User.objects.filter(email=options["user"].lower()).values_list("pk", flat=True).first()
            if user_id is None:
                raise CommandError(f"There is no user with the address {options['user']}.")
        by_group = options["by"] == "group"
        with reports():
            if by_group:
                groups = group_rows(since, until, user_id=user_id, roles=[role.name for role in all_roles()])
                rows, counted = groups.rows, [groups.total]
            else:
                rows = counted = usage_rows(since, until, options["by"], user_id=user_id)
        write_rows(rows, options["by"], self.stdout, options["form"])  # type: ignore[arg-type]  # writes as a file does
        if options["form"] == "table":
            total, unpriced = sum(row.cost for row in counted), sum(row.unpriced for row in counted)
            self.stdout.write(f"{since} to {until}: {total:.6f} {settings.CURRENCY} in total")
            if by_group and groups.several.messages:
                several = groups.several
                self.stdout.write(
                    f"{several.messages} messages ({several.cost:.6f}) are counted in more than one group"
                )
            if unpriced:
                self.stdout.write(f"without the cost of {unpriced} answers whose model had no price (see the admin)")
