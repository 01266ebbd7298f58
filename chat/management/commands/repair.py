"""`manage.py repair`: finds and mends what should not exist."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chat.management.terminal import show_examples
from chat.recovery.repair import repair


class Command(BaseCommand):
    help = (
        "Finds rows that contradict each other or that nobody looks after, mends them, and says what it did. Safe "
        "beside a running system. Ends with 0 when nothing is wrong any more, 1 when something is: with --dry-run "
        "what it found, else what it could not mend."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what is wrong")
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
                self.stdout.write("All of it is mended." if not left else "Still wrong:\n" + "\n".join(left))
        self.stdout.flush()
        if left:
            sys.exit(1)
