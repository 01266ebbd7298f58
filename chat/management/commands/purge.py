"""`manage.py purge`: the end of what has had its time."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chat import retention


class Command(BaseCommand):
    help = (
        "Deletes for good: conversations deleted longer ago than KEEP_DELETED_DAYS, expired sessions, the memory of "
        "sends older than KEEP_SUBMISSION_DAYS, recordings' words older than KEEP_RECORDING_DAYS. In small batches "
        "that nobody waits for; interrupted, it goes on the next time. `manage.py beat` has it done every hour."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--json", action="store_true", help="rows by kind, at the end")

    def handle(self, *_args: object, **options: Any) -> None:
        gone = retention.count() if options["dry_run"] else {kind.name: 0 for kind in retention.KINDS}
        if not options["dry_run"]:
            for progress in retention.purge():
                gone[progress.kind] = progress.done
                if self.stderr.isatty():
                    self.stderr.write(f"\r{progress.kind}: {progress.done} of {progress.total}  ", ending="")
            if self.stderr.isatty():
                self.stderr.write("")
        if options["json"]:
            self.stdout.write(json.dumps(gone))
        else:
            said = ", ".join(f"{number} {name}" for name, number in gone.items())
            self.stdout.write(f"{'Would delete' if options['dry_run'] else 'Deleted'} {said}.")
