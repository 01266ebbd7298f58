"""`manage.py repair`: finds and repairs inconsistent rows."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chat.management.terminal import show_examples
from chat.recovery.repair import repair


class Command(BaseCommand):
    help = (
        "Finds rows that contradict each other or that no process works on, repairs them, and reports what it did. "
        "Safe on a running system. Exit code 0 if nothing is wrong (any more), otherwise 1: with --dry-run for what it "
        "found, else for what it could not repair."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only report what is wrong")
        parser.add_argument("--json", action="store_true", help="for scripts: an object with `found` and `left`")
        show_examples(
            parser,
            ("repair --dry-run", "is anything wrong?"),
            ("repair", "mend it"),
            ("repair --json", '{"found": [], "left": []}'),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        found = repair(dry_run=options["dry_run"])
        left = found if options["dry_run"] else repair(dry_run=True) if found else []
        if options["json"]:
            self.stdout.write(json.dumps({"found": found, "left": left}))
        else:
            for sentence in found:
                self.stdout.write(sentence)
            if not found:
                self.stdout.write("Nothing is wrong.")
            elif options["dry_run"]:
                self.stdout.write("Nothing was changed.")
            else:
                self.stdout.write("Everything has been repaired." if not left else "Still wrong:\n" + "\n".join(left))
        self.stdout.flush()
        if left:
            sys.exit(1)
