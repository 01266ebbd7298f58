"""`manage.py purge`: permanently deletes data past its retention."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chat.management.terminal import Bar, add_deletion_options, show_examples
from chat.retention import purge


class Command(BaseCommand):
    help = (
        "Permanently deletes expired data: trash, temporary chats, conversations past their plan's retention (pinned "
        "ones are kept), expired sessions, old idempotency records and transcripts. Works in small batches and can be "
        "interrupted at any time; the next run continues. `manage.py beat` runs it every hour. Exit code 0."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_deletion_options(parser, preview="only count, by reason", report="for scripts: an object, rows by reason")
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
