"""`manage.py restore`: a backup into an empty database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.terminal import show_examples
from config.stack.dump import DumpError, restore


class Command(BaseCommand):
    help = (
        "Restores a FILE that `backup` wrote into the database of DATABASE_URL, which must be empty. If it fails, "
        "the database is unchanged. Afterwards run `prepare`, empty Redis (its event logs are out of date) and start. "
        "Exit code: 0, or 1 if the restore failed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        show_examples(
            parser,
            ("restore /backup/2026-11-23.dump", "into the empty database that DATABASE_URL names"),
            ("prepare", "afterwards: apply migrations of this version"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        try:
            restore(options["file"])
        except DumpError as error:
            raise CommandError(str(error)) from None
        self.stdout.write("Restored. Now run `manage.py prepare`, empty Redis, and start. All users must log in again.")
