"""`manage.py backup`: the database in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.terminal import Bar, show_examples
from config.stack.dump import DumpError, dump


class Command(BaseCommand):
    help = (
        "Writes a consistent copy of the database to FILE while the program runs (pg_dump's custom format). Sessions "
        "are left out, so that nobody can log in with a stolen backup. Only its owner can read the file; an "
        "incomplete file is removed. Keep SECRET_KEY (or var/secret_key) apart from it: with both, a thief can read "
        "the keys of endpoints. Files and recordings are not in it (docs/operations.md). Redis needs no backup. "
        "Exit code: 0, or 1 if the backup failed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--json", action="store_true", help='for scripts: {"file": ..., "bytes": ...}')
        show_examples(
            parser,
            ("backup /backup/$(date +%F).dump", "every night; an existing file is never overwritten"),
            ("backup /backup/before-upgrade.dump --json", "from a script"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        try:
            with Bar() as bar:
                size = dump(options["file"], on_written=lambda written: bar.count("written", written))
        except DumpError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps({"file": str(options["file"]), "bytes": size}))
            return
        self.stdout.write(f"{size / 2**20:.1f} MB in {options['file']}.")
