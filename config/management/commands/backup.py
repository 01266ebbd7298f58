"""`manage.py backup`: the database in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.stack.dump import DumpError, dump


class Command(BaseCommand):
    help = (
        "Writes the database to FILE, as of one moment and while everything runs (pg_dump's custom format). Sessions "
        "are left out, so a stolen backup opens none. The file is readable by its owner only, and whole or not there. "
        "Keep SECRET_KEY (or var/secret_key) beside it; Redis needs no backup."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *_args: object, **options: Any) -> None:
        try:
            size = dump(options["file"])
        except DumpError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{size / 2**20:.1f} MB in {options['file']}.")
