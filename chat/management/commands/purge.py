"""`manage.py purge`: the end of what has had its time."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chat.management.terminal import Bar, show_examples
from chat.retention import purge


class Command(BaseCommand):
    help = (
        "Deletes for good what has had its time: deleted conversations, temporary ones, conversations nobody touched "
        "for longer than their owner's plan keeps them (pinned ones stay), expired sessions, old memories of sends, "
        "old recordings' words. In small batches that nobody waits for; interrupted at any moment, it goes on the next "
        "time. `manage.py beat` has it done every hour. Ends with 0."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count, by reason")
        parser.add_argument("--json", action="store_true", help="for scripts: an object, rows by reason")
        show_examples(
            parser,
            ("purge --dry-run", "what would go now, and why"),
            ("purge", "let it go"),
            ("purge --json", '{"trash": 3, "temporary": 0, …}'),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        gone = purge.count() if options["dry_run"] else {kind.name: 0 for kind in purge.KINDS}
        if not options["dry_run"]:
            with Bar() as bar:
                for progress in purge.purge():
                    gone[progress.kind] = progress.done
                    bar.show(progress.kind, progress.done, progress.total)
        if options["json"]:
            self.stdout.write(json.dumps(gone))
            return
        self.stdout.write("Would delete:" if options["dry_run"] else "Deleted:")
        for kind in purge.KINDS:
            self.stdout.write(f"  {gone[kind.name]:>8}  {kind.reason}")
