"""`manage.py measure_admin`: how long the admin's pages take here, and how many queries they make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from chat.management.terminal import Bar, show_examples


class Command(BaseCommand):
    help = (
        "Opens every page of the admin in this process as a superuser, three times, and prints the quickest time and "
        "the number of queries of each, with the CPU time, which says more where the machine is busy. Everything is "
        "rolled back. Run it on a database that `seed_demo --scale` has filled, on a quiet machine. "
        "Exit code 0, or 1 if a page takes more than 300 ms or 12 queries, or fails."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", default="", metavar="PART", help="only pages whose address has this in it")
        parser.add_argument("--write", type=Path, metavar="FILE", help="puts the table into docs/performance.md")
        show_examples(
            parser,
            ("measure_admin", "a table, the slowest page first"),
            ("measure_admin --only chat/run", "some pages"),
            ("measure_admin --write docs/performance.md", "for contributors: renews the table there"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        import config.urls  # noqa: F401  # loads the admin's pages
        from config.ops import admin_pages

        user = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        if user is None:
            raise CommandError("There is no administrator to open the pages as.")
        pages = []
        with Bar() as bar:
            for page in admin_pages.measure(user, options["only"]):
                pages.append(page)
                bar.show("pages", len(pages), len(pages) + 1)
        table = admin_pages.as_table(pages)
        if options["write"]:
            try:
                text = admin_pages.put_into(options["write"].read_text(), table)
            except (OSError, ValueError) as error:
                raise CommandError(str(error)) from None
            options["write"].write_text(text)
        self.stdout.write(table)
        if any(not page.is_good for page in pages):
            sys.exit(1)
